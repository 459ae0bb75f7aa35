"""Prepare a build context: a folder's own files, with modes that depend on git alone.

A file's mode is part of a step's cache key (its time is not), so checkouts with umask 0002 and 0022
would share no cache. `COPY --chmod` does not help, and BuildKit's git contexts have other modes
again. So a snapshot is sent, and the user's files are not touched.

A tar on stdin would send everything every time, and the checkout itself would depend on the umask
and change under a build that still reads it.
"""

from __future__ import annotations

import codecs
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from build_tasks import paths
from build_tasks.errors import UsageError
from build_tasks.inputs import dockerignore, file_hashes, snapshot
from build_tasks.inputs.dockerignore import Patterns
from build_tasks.inputs.git_files import Listing
from build_tasks.inputs.snapshot import Place
from build_tasks.process import Announce
from build_tasks.text.formatting import plural

_DOCKERIGNORE = ".dockerignore"


@dataclass(frozen=True)
class Prepared:
    """A folder that BuildKit can read, in which nothing changes any more.

    Args:
        files: the mode and the hash of each file that enters a build, like `100644 9f2c...`.
    """

    folder: Path
    files: Mapping[str, str]


@dataclass(frozen=True)
class Allowed:
    """Which files enter besides those that git tracks, as patterns like those of .dockerignore.

    Args:
        untracked: files that git neither tracks nor ignores.
        ignored: files that git ignores.
        everything: all files, without asking git.
        tracked: no other file, even if git tracks none; without that, all may enter then.
    """

    untracked: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    everything: bool = False
    tracked: bool = False


def prepare(
    root: Path,
    allowed: Allowed,
    announce: Announce,
    shipped: Mapping[str, Path] = MappingProxyType({}),
    place: Place | None = None,
) -> Prepared:
    """Return what a folder sends to a build.

    Args:
        root: the folder.
        allowed: which files enter besides those that git tracks.
        announce: is told what is left out.
        shipped: files that git does not know and that enter, too, whatever .dockerignore says, by
            their path in the context. A .dockerignore among them counts for the folder.
        place: where a snapshot is written, if not in the folder's own place.

    Raises:
        UsageError: a file cannot be read, or a submodule is not fetched.
        DiskError: there is no space for a snapshot.
        ImagesError: files change faster than they can be read.
    """
    root = root.resolve()
    immutable = root.is_relative_to(paths.kept().resolve())
    untracked, ignored = dockerignore.parse(allowed.untracked), dockerignore.parse(allowed.ignored)
    ignore_file = shipped.get(_DOCKERIGNORE) or root / _DOCKERIGNORE
    listing = Listing(_patterns(ignore_file), untracked, ignored)
    if not (allowed.everything or immutable):
        listing.ask_git(root)
    if listing.unfetched:
        path = listing.unfetched[0]
        raise UsageError(
            f"{root / path}: the submodule is not fetched: run git -C {shlex.quote(str(root))} "
            f"submodule update --init --recursive, or name {path} in .dockerignore"
        )
    if listing.problem:
        announce(f"warning: {root}: untracked files enter: {listing.problem}")
    if not (listing.files or (listing.known and allowed.tracked)):  # as in an unpacked archive
        listing.add_all(str(root))
    elif listing.left_out:
        announce(_left_out(root, listing.left_out))
    added = dict.fromkeys(path for path in shipped if path != _DOCKERIGNORE)
    files = {**listing.files, **added}
    names = dict(files)
    if not place and ignore_file.is_file() and not any(map(listing.excluded.match, added)):
        names.setdefault(_DOCKERIGNORE, False)  # BuildKit reads it in the context
    if immutable and not place:
        folder, hashes = root, file_hashes.of(root, names)
    else:
        folder, hashes = snapshot.take(root, names, announce, shipped, place)
    return Prepared(folder, {path: text for path, text in hashes.items() if path in files})


def entering(folder: Path) -> list[str]:
    """Return the paths of all files of a folder that its .dockerignore lets in."""
    listing = Listing(_patterns(folder / _DOCKERIGNORE), Patterns(), Patterns())
    listing.add_all(str(folder))
    return list(listing.files)


def _patterns(file: Path) -> Patterns:
    """Return the patterns of a .dockerignore; BuildKit reports what is wrong with them."""
    try:
        text = file.read_bytes().removeprefix(codecs.BOM_UTF8)
        return dockerignore.parse(os.fsdecode(text).split("\n"))  # file names are bytes
    except (OSError, ValueError):
        return Patterns()


def _left_out(root: Path, files: list[str]) -> str:
    """Return one line on untracked files, with the option that lets them in."""
    folders = {path.partition("/")[0] if "/" in path else "" for path in files}
    top = folders.pop() if len(folders) == 1 else ""
    pattern = shlex.quote(f"{top}/**" if top else "**")
    verb, pronoun = ("is", "it") if len(files) == 1 else ("are", "them")
    return (
        f"{plural(len(files), 'untracked file')} of {root / top}/ {verb} left out: "
        f"--context-untracked {pattern} lets {pronoun} in"
    )
