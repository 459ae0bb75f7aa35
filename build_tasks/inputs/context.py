"""What is sent to BuildKit: a folder's own files, with modes that depend on nothing but git.

A file's mode is part of a step's cache key (its time is not), so that umask 0002 and 0022 would
share no cache; `COPY --chmod` does not help, and BuildKit's own git contexts have other modes
again. So a snapshot is sent (`snapshots`), and the user's files are not touched.

Of the other ways, a tar on stdin sends everything every time; the tree itself, where its modes are
right, leaves the cost and the races to the umask; one copy that is kept in step changes under a
build that still reads it.
"""

from __future__ import annotations

import codecs
import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from build_tasks import paths
from build_tasks.errors import UsageError
from build_tasks.inputs import dockerignore, file_hashes, git_files, snapshot
from build_tasks.inputs.dockerignore import Patterns

#: Folders of the cache folder that are made once, with the right modes, and never change.
_OWN = ("constraints", "sources")
_RULES = ".dockerignore"


@dataclass(frozen=True)
class Prepared:
    """A folder to be sent to BuildKit.

    Args:
        folder: where it lies; nothing in it changes any more.
        files: for each path that enters a build, its mode and the beginning of its SHA-256, like
            `100644 9f2c...`.
    """

    folder: Path
    files: Mapping[str, str]


@dataclass(frozen=True)
class Allowed:
    """What enters besides what git tracks: patterns, of the kind that .dockerignore has.

    Args:
        untracked: of files that git neither tracks nor ignores.
        ignored: of files that git ignores.
        everything: do not ask git: a folder was named for what lies in it.
    """

    untracked: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    everything: bool = False


def prepare(root: Path, allowed: Allowed, announce: Callable[[str], None]) -> Prepared:
    """Return what a folder sends to a build.

    Args:
        root: the folder: the project's, or one that replaces a stage.
        allowed: what enters besides what git tracks.
        announce: is told what is left out.

    Raises:
        UsageError: a file cannot be read, or a submodule is not fetched.
        DiskError: there is no space for a snapshot.
        ImagesError: files change faster than they can be read.
    """
    root = root.resolve()
    own = any(root.is_relative_to(paths.cache_folder().resolve() / name) for name in _OWN)
    rules = git_files.Rules(
        excluded=_excluded(root),
        untracked=dockerignore.parse(allowed.untracked),
        ignored=dockerignore.parse(allowed.ignored),
        everything=allowed.everything or own,
    )
    listed = git_files.files(root, rules)
    if listed.unfetched:
        path = listed.unfetched[0]
        raise UsageError(
            f"{root / path}: the submodule is not fetched: run git -C {shlex.quote(str(root))} "
            f"submodule update --init --recursive, or name {path} in .dockerignore"
        )
    for line in _notes(root, listed):
        announce(line)
    names = dict(listed.files)
    if (root / _RULES).is_file():  # BuildKit reads it there
        names.setdefault(_RULES, False)
    if own:
        folder, found = root, file_hashes.of(root, names)
    else:
        folder, found = snapshot.take(root, names)
    return Prepared(folder, {path: text for path, text in found.items() if path in listed.files})


def _excluded(root: Path) -> Patterns:
    """Return the patterns of a folder's .dockerignore; BuildKit says what is wrong with them."""
    try:
        text = (root / _RULES).read_bytes().removeprefix(codecs.BOM_UTF8)
        return dockerignore.parse(os.fsdecode(text).split("\n"))  # names are bytes
    except (OSError, ValueError):
        return Patterns()


def _notes(root: Path, listed: git_files.Listing) -> list[str]:
    """Return what a person should know of a listing, in one line each."""
    notes = []
    if listed.problem:
        notes.append(f"warning: {root}: untracked files enter: {listed.problem}")
    if listed.left_out:
        tops = {path.partition("/")[0] for path in listed.left_out if "/" in path}
        common = len(tops) == 1 and all("/" in path for path in listed.left_out)
        top = tops.pop() if common else ""
        number = len(listed.left_out)
        what = "1 untracked file" if number == 1 else f"{number} untracked files"
        place = f"{root / top}/" if top else f"{root}/"
        pattern = shlex.quote(f"{top}/**" if top else "**")
        notes.append(
            f"{what} of {place} {'is' if number == 1 else 'are'} left out: "
            f"--untracked {pattern} lets {'it' if number == 1 else 'them'} in"
        )
    return notes
