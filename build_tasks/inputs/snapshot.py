"""Immutable copies of folders, named by their content.

Builds that run at once, or while files are edited, each keep the files they began with, and the
command of a dry run can be pasted. A new snapshot has hard links to files of the one before, and
copies of changed files; never links to the user's files, which can be edited in place. BuildKit
knows a context by the last part of its path, which stays the same, so it is sent only what changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from build_tasks.errors import DiskError, ImagesError
from build_tasks.inputs import file_hashes
from build_tasks.inputs.file_hashes import ChangedError, Index
from build_tasks.process import Announce, locks

#: Seconds that a snapshot stays after its last use.
KEPT = 24 * 3600
#: Attempts to read files that change meanwhile.
ATTEMPTS = 5
#: Seconds since 1970 of 2000-01-01, the time of folders and the earliest of files (zip begins with
#: 1980), and the range of the times of files.
EPOCH = 946_684_800
SPAN = 1 << 28
_NEW = "new"


class Place(NamedTuple):
    """Where snapshots of a folder are written.

    Args:
        home: the folder of the snapshots, and of their index.
        name: the name of the folder in each snapshot.
        mode: the mode of folders; by default that of git's.
    """

    home: Path
    name: str
    mode: int = 0o755


def take(
    root: Path,
    names: Mapping[str, bool | None],
    announce: Announce,
    elsewhere: Mapping[str, Path] = MappingProxyType({}),
    place: Place | None = None,
) -> tuple[Path, dict[str, str]]:
    """Return a snapshot of a folder, and the mode and hash of each file in it.

    Args:
        root: the folder.
        names: its files, and whether git says that they are executable.
        announce: is told whom a wait is for.
        elsewhere: the place of each file that is not below the folder.
        place: where the snapshot is written, and what it is called; by default as the folder.

    Raises:
        UsageError: a file cannot be read.
        DiskError: there is no space for the snapshot.
        ImagesError: files change faster than they can be read.
    """
    place = place or Place(file_hashes.home(root), root.name or "root")
    for _ in range(ATTEMPTS):
        try:
            return _take(root, names, announce, elsewhere, place)
        except ChangedError:
            continue
        except OSError as error:
            raise DiskError(f"{place.home}: cannot be written: {error.strerror}") from None
    raise ImagesError(f"{root}: its files change while they are read: build when they are at rest")


def seconds(fingerprint: str) -> int:
    """Return the modification time of a file in a snapshot, which depends on its content.

    BuildKit asks for a file only if its size or time differs, so it would miss an edit that keeps
    both; and Python trusts bytecode by the same two. With the time of the user's file, layers would
    depend on when it was checked out.
    """
    return EPOCH + int(fingerprint.rpartition(" ")[2][:12], 16) % SPAN


def _take(
    root: Path,
    names: Mapping[str, bool | None],
    announce: Announce,
    elsewhere: Mapping[str, Path],
    place: Place,
) -> tuple[Path, dict[str, str]]:
    home, base, mode = place
    before, now = file_hashes.read(home), Index()
    hashes = file_hashes.look(root, names, before, now, elsewhere)
    now.snapshot = before.snapshot if now.known == before.known else name_of(hashes)
    folder = home / now.snapshot / base
    with locks.hold(home / "lock", f"copies the files of {root}", announce):
        try:
            os.utime(folder.parent)  # it is in use
        except FileNotFoundError:
            clear(home)
            try:
                places = {path: elsewhere.get(path) or root / path for path in hashes}
                last = (home / before.snapshot / base, before)
                write(places, home / _NEW / base, hashes, last, mode)
                (home / _NEW).rename(folder.parent)
            finally:
                shutil.rmtree(home / _NEW, ignore_errors=True)
        if now != before:
            file_hashes.write(home, now)
    return folder, hashes


def clear(home: Path) -> None:
    """Remove snapshots that have not been used for long, and unfinished ones."""
    for folder in home.iterdir():
        with contextlib.suppress(FileNotFoundError):
            old = folder.stat().st_mtime < time.time() - KEPT
            if folder.is_dir() and (old or folder.name == _NEW):
                shutil.rmtree(folder)


def name_of(hashes: Mapping[str, str]) -> str:
    """Return the name of a snapshot with some files."""
    digest = hashlib.sha256()
    for path, text in hashes.items():
        digest.update(os.fsencode(path) + b"\0" + text.encode() + b"\0")
    return file_hashes.short(digest)


def write(
    places: Mapping[str, Path],
    target: Path,
    hashes: Mapping[str, str],
    last: tuple[Path, Index],
    mode: int,
) -> None:
    """Write a snapshot.

    Args:
        places: where each file is.
        target: the new folder.
        hashes: the mode and hash of each file.
        last: the last snapshot, and its index.
        mode: the mode of folders.

    Raises:
        ChangedError: a file no longer has its hash.
        UsageError: a file cannot be read.
    """
    target.mkdir(parents=True)
    folders = {"": str(target)}
    for path, text in hashes.items():
        parent, _, name = path.rpartition("/")
        copy = f"{_folder(folders, parent)}/{name}"
        if last[1].fingerprint(path) != text or not _linked(f"{last[0]}/{path}", copy):
            _copy(str(places[path]), copy, text)
    for folder in folders.values():
        os.chmod(folder, mode)  # noqa: PTH101 - thousands of them
        os.utime(folder, (EPOCH, EPOCH))


def _folder(folders: dict[str, str], path: str) -> str:
    """Return a folder of the snapshot; make it and those above it where they are missing."""
    if path not in folders:
        parent, _, name = path.rpartition("/")
        folders[path] = f"{_folder(folders, parent)}/{name}"
        os.mkdir(folders[path])  # noqa: PTH102 - thousands of them
    return folders[path]


def _linked(old: str, new: str) -> bool:
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError:  # it is gone, has too many links, or the file system has none
        return False
    return True


def _copy(source: str, copy: str, fingerprint: str) -> None:
    """Copy a file or a link, or raise ChangedError if it has another content now."""
    mode, _, digest = fingerprint.partition(" ")
    try:
        shutil.copyfile(source, copy, follow_symlinks=False)
    except OSError as error:
        special = isinstance(error, shutil.SpecialFileError)
        if special or (error.filename == source and not error.filename2):
            raise ChangedError(source) from None  # it could be read a moment ago
        raise
    link = os.path.islink(copy)  # noqa: PTH114 - thousands of them
    if link is not (mode == file_hashes.LINK) or file_hashes.content(copy, link=link) != digest:
        raise ChangedError(source)
    if not link:
        os.chmod(copy, int(mode, 8) & 0o777)  # noqa: PTH101 - thousands of them
    os.utime(copy, (seconds(fingerprint),) * 2, follow_symlinks=False)
