"""Which files of a folder are its own: those that git tracks, and what a person lets in besides."""

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
    """What may enter, besides what git tracks.

    Args:
        excluded: what never does: .dockerignore.
        untracked: what git does not track, and does not ignore either.
        ignored: what git ignores.
        everything: git is not asked.
    """

    excluded: Patterns = field(default_factory=Patterns)
    untracked: Patterns = field(default_factory=Patterns)
    ignored: Patterns = field(default_factory=Patterns)
    everything: bool = False


@dataclass(frozen=True)
class Listing:
    """The files that enter; some may be gone.

    Args:
        files: by path, whether git says that a file is executable; None where its own bit does.
        left_out: untracked files that only the rules keep out.
        unfetched: submodules that may enter and whose files are not there.
        problem: why git, which should know, says nothing.
    """

    files: dict[str, bool | None]
    left_out: tuple[str, ...] = ()
    problem: str = ""
    unfetched: tuple[str, ...] = ()


def files(root: Path, rules: Rules) -> Listing:
    """Return the files of a folder that may enter.

    A folder of which git tracks nothing, like an unpacked archive, holds its own files alone.

    Args:
        root: the folder.
        rules: what may enter besides.
    """
    found, problem = (None, "") if rules.everything else _asked(root, rules)
    if found and (found.files or found.unfetched):
        return found
    return Listing(dict.fromkeys(_walk(str(root), "", rules.excluded)), problem=problem)


def _asked(root: Path, rules: Rules) -> tuple[Listing | None, str]:
    """Return what git says of a folder, or why it says nothing."""
    if not shutil.which("git"):
        return None, "git is not installed" if git.discovered(root) else ""
    try:
        return _of_git(root, rules, ""), ""
    except git.NoRepositoryError:
        return None, ""
    except CommandError as error:
        return None, str(error)


def _of_git(root: Path, rules: Rules, above: str) -> Listing:
    """Return what a repository says, and the repositories inside of it that belong there.

    Args:
        root: its folder.
        rules: for paths that begin with `above`.
        above: where it lies in the folder that is asked for, with a slash.
    """
    others = ("ls-files", "-z", "--others", "--exclude-standard")
    with process.pool(2) as pool:
        untracked = pool.submit(_git, root, *others)
        ignored = pool.submit(_git, root, *others, "--ignored") if rules.ignored.runs else None
        entries = _git(root, "ls-files", "-z", "--stage")
    tracked = {path: said[:6] for said, _, path in (entry.partition("\t") for entry in entries)}
    result: dict[str, bool | None] = {
        above + path: mode == _EXECUTABLE
        for path, mode in tracked.items()
        if mode != _SUBMODULE and not rules.excluded.match(above + path)
    }
    inside = [path for path, mode in tracked.items() if mode == _SUBMODULE]
    left_out = []
    for paths, allowed in (
        (untracked.result(), rules.untracked),
        (ignored.result() if ignored else [], rules.ignored),
    ):
        for path in (path for path in paths if not rules.excluded.match(above + path.rstrip("/"))):
            if not allowed.match(above + path.rstrip("/")):
                left_out += [above + path] if allowed is rules.untracked else []
            elif path.endswith("/"):  # a repository of its own
                inside.append(path.rstrip("/"))
            else:
                result[above + path] = None
    unfetched: list[str] = []
    for path in inside:
        if (root / path / ".git").exists():
            found = _of_git(root / path, rules, f"{above}{path}/")
            result |= found.files
            left_out += found.left_out
            unfetched += found.unfetched
        elif (root / path).is_dir() and not rules.excluded.cover(above + path):
            unfetched.append(above + path)  # a folder that is gone was removed by a person
    return Listing(result, tuple(left_out), unfetched=tuple(unfetched))


def _git(root: Path, *arguments: str) -> list[str]:
    """Return what git lists; names are bytes, and may be no text."""
    return git.ask(root, *arguments).split("\0")[:-1]


def _walk(root: str, folder: str, excluded: Patterns) -> Iterator[str]:
    """Yield the paths of a folder's files and links, without what .dockerignore keeps out."""
    with os.scandir(f"{root}/{folder}") as entries:
        for entry in entries:
            path = folder + entry.name
            if entry.is_dir(follow_symlinks=False):
                if entry.name != ".git" and not excluded.cover(path):
                    yield from _walk(root, f"{path}/", excluded)
            elif entry.name != ".git" and not excluded.match(path):
                yield path
