"""List the files of a folder that may enter a build: those that git tracks, and allowed others."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from build_tasks import process
from build_tasks.errors import CommandError
from build_tasks.inputs import git
from build_tasks.inputs.dockerignore import Patterns

_SUBMODULE, _EXECUTABLE = "160000", "100755"


@dataclass(frozen=True)
class Rules:
    """Which files may enter besides those that git tracks.

    Args:
        excluded: files that never enter: .dockerignore.
        untracked: files that git neither tracks nor ignores.
        ignored: files that git ignores.
        everything: all files, without asking git.
    """

    excluded: Patterns = field(default_factory=Patterns)
    untracked: Patterns = field(default_factory=Patterns)
    ignored: Patterns = field(default_factory=Patterns)
    everything: bool = False


@dataclass(frozen=True)
class Listing:
    """The files that enter; some may have been removed.

    Args:
        files: for each path, whether git says that it is executable; None where the mode decides.
        left_out: untracked files that only the rules keep out.
        unfetched: submodules that may enter and whose files are not there.
        problem: why git failed, where it should know the folder.
    """

    files: dict[str, bool | None]
    left_out: tuple[str, ...] = ()
    problem: str = ""
    unfetched: tuple[str, ...] = ()


def files(root: Path, rules: Rules) -> Listing:
    """Return the files of a folder that may enter a build.

    In a folder of which git tracks nothing, like an unpacked archive, all files may enter.
    """
    listing, problem = (None, "") if rules.everything else _ask_git(root, rules)
    if listing and (listing.files or listing.unfetched):
        return listing
    return Listing(dict.fromkeys(_walk(str(root), "", rules.excluded)), problem=problem)


def _ask_git(root: Path, rules: Rules) -> tuple[Listing | None, str]:
    """Return git's listing, or why git failed."""
    if not shutil.which("git"):
        return None, "git is not installed" if git.discovered(root) else ""
    try:
        return _list_repository(root, rules, ""), ""
    except git.NoRepositoryError:
        return None, ""
    except CommandError as error:
        return None, str(error)


def _list_repository(root: Path, rules: Rules, prefix: str) -> Listing:
    """List a repository and the repositories inside of it.

    Args:
        root: its folder.
        rules: for paths with the prefix.
        prefix: its path below the folder that is listed, with a slash; empty for that folder.
    """
    others = ("ls-files", "-z", "--others", "--exclude-standard")
    with process.pool(2) as pool:
        untracked = pool.submit(_git, root, *others)
        ignored = pool.submit(_git, root, *others, "--ignored") if rules.ignored.runs else None
        entries = [entry.partition("\t") for entry in _git(root, "ls-files", "-z", "--stage")]
    modes = {path: entry[:6] for entry, _, path in entries}
    result: dict[str, bool | None] = {
        prefix + path: mode == _EXECUTABLE
        for path, mode in modes.items()
        if mode != _SUBMODULE and not rules.excluded.match(prefix + path)
    }
    nested = [path for path, mode in modes.items() if mode == _SUBMODULE]
    left_out: list[str] = []
    unfetched: list[str] = []
    for paths, allowed in (
        (untracked.result(), rules.untracked),
        (ignored.result() if ignored else [], rules.ignored),
    ):
        for path in paths:
            name = prefix + path.rstrip("/")
            if rules.excluded.match(name):
                continue
            if not allowed.match(name):
                left_out += [prefix + path] if allowed is rules.untracked else []
            elif path.endswith("/"):  # a repository of its own
                nested.append(path.rstrip("/"))
            else:
                result[name] = None
    for path in nested:
        if (root / path / ".git").exists():
            inside = _list_repository(root / path, rules, f"{prefix}{path}/")
            result |= inside.files
            left_out += inside.left_out
            unfetched += inside.unfetched
        elif (root / path).is_dir() and not rules.excluded.cover(prefix + path):
            unfetched.append(prefix + path)  # a submodule without a folder was removed on purpose
    return Listing(result, tuple(left_out), unfetched=tuple(unfetched))


def _git(root: Path, *arguments: str) -> list[str]:
    return git.ask(root, *arguments).split("\0")[:-1]


def _walk(root: str, folder: str, excluded: Patterns) -> Iterator[str]:
    """Yield the paths of a folder's files and links, without what .dockerignore excludes."""
    with os.scandir(f"{root}/{folder}") as entries:
        for entry in entries:
            path = folder + entry.name
            if entry.name == ".git":
                continue
            if entry.is_dir(follow_symlinks=False):
                if not excluded.cover(path):
                    yield from _walk(root, f"{path}/", excluded)
            elif not excluded.match(path):
                yield path
