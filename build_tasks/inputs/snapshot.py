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
from collections.abc import Callable, Mapping
from functools import partial
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
    return _time(fingerprint.rpartition(" ")[2])


def _time(digest: str) -> int:
    return EPOCH + int(digest[:12], 16) % SPAN


def _take(
    root: Path,
    names: Mapping[str, bool | None],
    announce: Announce,
    elsewhere: Mapping[str, Path],
    place: Place,
) -> tuple[Path, dict[str, str]]:
    home, base, mode = place
    alone = partial(locks.hold, home / "lock", f"copies the files of {root}", announce)
    before, now = file_hashes.read(home), Index()
    if not before.known:
        with alone():
            before = file_hashes.read(home)  # another process may have taken one meanwhile
            if not before.known:
                look = partial(file_hashes.look, root, names, before, elsewhere=elsewhere)
                return _first(place, look)
    hashes = file_hashes.look(root, names, before, now, elsewhere)
    now.snapshot = before.snapshot if now.known == before.known else name_of(hashes)
    folder = home / now.snapshot / base
    with alone():
        try:
            os.utime(folder.parent)  # it is in use
        except FileNotFoundError:
            clear(home)
            try:
                places = {path: str(elsewhere.get(path) or f"{root}/{path}") for path in hashes}
                last = (home / before.snapshot / base, before)
                write(places, home / _NEW / base, hashes, last, mode)
                (home / _NEW).rename(folder.parent)
            finally:
                shutil.rmtree(home / _NEW, ignore_errors=True)
        if now != before:
            file_hashes.write(home, now)
    return folder, hashes


def _first(place: Place, look: Callable[[Index], dict[str, str]]) -> tuple[Path, dict[str, str]]:
    """Take a snapshot of a folder of which nothing is known: read and copy its files in one go."""
    home, base, mode = place
    clear(home)
    try:
        new = _New(home / _NEW / base)
        now = Index(read=new.copy)
        hashes = look(now)
        new.finish(mode)
        now.snapshot = name_of(hashes)
        folder = home / now.snapshot
        if folder.exists():  # only the index is gone
            os.utime(folder)
        else:
            (home / _NEW).rename(folder)
    finally:
        shutil.rmtree(home / _NEW, ignore_errors=True)
    file_hashes.write(home, now)
    return folder / base, hashes


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
    places: Mapping[str, str],
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
    new = _New(target)
    for path, text in hashes.items():
        if last[1].fingerprint(path) != text or not _linked(f"{last[0]}/{path}", new.place(path)):
            kind, _, digest = text.partition(" ")
            if new.copy(places[path], path, kind) != digest:
                raise ChangedError(path)
    new.finish(mode)


class _New:
    """A folder of a snapshot that is written file by file."""

    def __init__(self, target: Path) -> None:
        target.mkdir(parents=True)
        self._folders = {"": str(target)}

    def place(self, path: str) -> str:
        """Return the place of a file; make the folders above it."""
        folder, _, name = path.rpartition("/")
        return f"{self._folder(folder)}/{name}"

    def copy(self, source: str, path: str, mode: str) -> str:
        """Copy a file or a link, and return its hash."""
        return _copy(source, self.place(path), mode)

    def finish(self, mode: int) -> None:
        """Give all folders the same mode and time."""
        for folder in self._folders.values():
            os.chmod(folder, mode)  # noqa: PTH101 - thousands of them
            os.utime(folder, (EPOCH, EPOCH))

    def _folder(self, path: str) -> str:
        if path not in self._folders:
            parent, _, name = path.rpartition("/")
            self._folders[path] = f"{self._folder(parent)}/{name}"
            os.mkdir(self._folders[path])  # noqa: PTH102 - thousands of them
        return self._folders[path]


def _linked(old: str, new: str) -> bool:
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError:  # it is gone, has too many links, or the file system has none
        return False
    return True


def _copy(source: str, copy: str, mode: str) -> str:
    """Copy a file or a link, and return its hash. It is read once: what is hashed is written.

    Raises:
        ChangedError: it is gone, or the other one of both.
        UsageError: it cannot be read.
    """
    if mode == file_hashes.LINK:
        target = file_hashes.target(source)
        digest = file_hashes.short(hashlib.sha256(os.fsencode(target)))
        os.symlink(target, copy)  # noqa: PTH211 - thousands of them
        os.utime(copy, (_time(digest),) * 2, follow_symlinks=False)
        return digest
    whole = hashlib.sha256()
    file = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        for piece in file_hashes.pieces(source):
            whole.update(piece)
            _write_all(file, piece)
        digest = file_hashes.short(whole)
        os.fchmod(file, int(mode, 8) & 0o777)
        os.utime(file, (_time(digest),) * 2)
    finally:
        os.close(file)
    return digest


def _write_all(file: int, content: bytes) -> None:
    while content:  # the kernel may take a part
        content = content[os.write(file, content) :]
