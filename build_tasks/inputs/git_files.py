"""List the files of a folder that may enter a build: those that git tracks, and allowed others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from build_tasks import process
from build_tasks.errors import CommandError, MissingProgram
from build_tasks.inputs import git
from build_tasks.inputs.dockerignore import Patterns

_SUBMODULE, _EXECUTABLE = "160000", "100755"


@dataclass
class Listing:
    """The files of a folder that enter, some of which may have been removed.

    Args:
        excluded: files that never enter: .dockerignore.
        untracked: those of the files that git neither tracks nor ignores that enter.
        ignored: those of the files that git ignores that enter.
        files: for each path, whether git says that it is executable; None where the mode decides.
        left_out: untracked files that only the patterns keep out.
        unfetched: submodules that may enter and whose files are not there.
        known: whether git knows the folder.
        problem: why git failed, where it should know the folder.
    """

    excluded: Patterns
    untracked: Patterns
    ignored: Patterns
    files: dict[str, bool | None] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    unfetched: list[str] = field(default_factory=list)
    known: bool = False
    problem: str = ""

    def ask_git(self, root: Path) -> None:
        """Add what git says of a folder."""
        try:
            self._add_repository(root, "")
            self.known = True
        except MissingProgram:
            self.problem = "git is not installed" if git.discovered(root) else ""
        except CommandError as error:
            self.files, self.left_out, self.unfetched = {}, [], []
            self.problem = "" if isinstance(error, git.NoRepositoryError) else str(error)

    def add_all(self, root: str, folder: str = "") -> None:
        """Add all files and links below a folder that are not excluded."""
        with os.scandir(f"{root}/{folder}") as entries:
            for entry in entries:
                path = folder + entry.name
                if entry.name == ".git":
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if not self.excluded.cover(path):
                        self.add_all(root, f"{path}/")
                elif not self.excluded.match(path):
                    self.files[path] = None

    def _add_repository(self, root: Path, prefix: str) -> None:
        """Add a repository and the repositories inside of it, whose paths get a prefix."""
        others = ("ls-files", "-z", "--others", "--exclude-standard")
        with process.pool(2) as pool:
            untracked = pool.submit(_git, root, *others)
            ignored = pool.submit(_git, root, *others, "--ignored") if self.ignored.runs else None
            tracked = [entry.partition("\t") for entry in _git(root, "ls-files", "-z", "--stage")]
        nested = []
        for entry, _, path in tracked:
            if entry.startswith(_SUBMODULE):
                nested.append(path)
            elif not self.excluded.match(prefix + path):
                self.files[prefix + path] = entry.startswith(_EXECUTABLE)
        nested += self._add_others(prefix, untracked.result(), self.untracked, self.left_out)
        if ignored:
            nested += self._add_others(prefix, ignored.result(), self.ignored, [])
        for path in nested:
            if (root / path / ".git").exists():
                self._add_repository(root / path, f"{prefix}{path}/")
            elif (root / path).is_dir() and not self.excluded.cover(prefix + path):
                self.unfetched.append(prefix + path)  # without a folder: removed on purpose

    def _add_others(
        self, prefix: str, paths: list[str], allowed: Patterns, left_out: list[str]
    ) -> Iterator[str]:
        """Add files that git does not track; yield allowed repositories, which end with a slash."""
        for path in paths:
            name = prefix + path.rstrip("/")
            if self.excluded.match(name):
                continue
            if not allowed.match(name):
                left_out.append(prefix + path)
            elif path.endswith("/"):
                yield path.rstrip("/")
            else:
                self.files[name] = None


def _git(root: Path, *arguments: str) -> list[str]:
    return git.ask(root, *arguments).split("\0")[:-1]
