"""Copies of folders that never change once they are there, each with the name of its content.

Builds that run at once, or while files are edited, each keep what they began with, and the line of
a dry run can be pasted. A new snapshot is made of hard links to the one before, and of the files
that changed; never of links to the user's files, which can be edited in place. BuildKit knows a
context by the last part of its path, which stays: it is still sent only what changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from build_tasks.errors import DiskError, ImagesError
from build_tasks.inputs import file_hashes
from build_tasks.inputs.file_hashes import ChangedError, Index

#: Seconds that a snapshot stays after its last use.
KEPT = 24 * 3600
#: Times that files are read, if they change meanwhile.
ATTEMPTS = 5
#: Seconds since 1970 of 2000-01-01, the time of folders and the least of files (zip has none
#: before 1980), and the span of those of files.
EPOCH = 946_684_800
SPAN = 1 << 28
_NEW = "new"
_CHUNK = 1 << 20


def take(root: Path, names: Mapping[str, bool | None]) -> tuple[Path, dict[str, str]]:
    """Return a snapshot of a folder, and the fingerprints of the files in it.

    Args:
        root: the folder.
        names: its files, and whether git says that they are executable.

    Raises:
        UsageError: a file cannot be read.
        DiskError: there is no space for the snapshot.
        ImagesError: files change faster than they can be read.
    """
    home = file_hashes.home(root)
    for _ in range(ATTEMPTS):
        try:
            return _take(root, names, home)
        except ChangedError:
            continue
        except OSError as error:
            raise DiskError(f"{home}: cannot be written: {error.strerror}") from None
    raise ImagesError(f"{root}: its files change while they are read: build when they are at rest")


def seconds(fingerprint: str) -> int:
    """Return the time of a file in a snapshot: another content has another time.

    BuildKit asks for a file only if its size or time differs, so that an edit which keeps both
    would not arrive; and Python trusts bytecode by the same two. The time of the user's file would
    make the layers depend on when it was checked out.
    """
    return EPOCH + int(fingerprint.rpartition(" ")[2][:12], 16) % SPAN


def _take(root: Path, names: Mapping[str, bool | None], home: Path) -> tuple[Path, dict[str, str]]:
    before, now = file_hashes.read(home), Index()
    found = file_hashes.look(root, names, before, now)
    now.snapshot = before.snapshot if now.known == before.known else _name(found)
    base = root.name or "root"
    folder = home / now.snapshot / base
    home.mkdir(parents=True, exist_ok=True)
    with _locked(home):
        if not _used(folder.parent):
            clear(home)
            try:
                _write(root, home / _NEW / base, found, (home / before.snapshot / base, before))
                (home / _NEW).rename(folder.parent)
            finally:
                shutil.rmtree(home / _NEW, ignore_errors=True)
        if now != before:
            file_hashes.write(home, now)
    return folder, found


def clear(home: Path) -> None:
    """Remove what no build can need any more: snapshots of long ago, and halves of them."""
    for folder in home.iterdir():
        with contextlib.suppress(FileNotFoundError):
            old = folder.stat().st_mtime < time.time() - KEPT
            if folder.is_dir() and (old or folder.name == _NEW):
                shutil.rmtree(folder)


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[None]:
    # Not filelock's, which would be a tenth of what all this costs a build.
    with (home / "lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _used(snapshot: Path) -> bool:
    """Whether there is such a snapshot; it is used, then."""
    try:
        os.utime(snapshot)
    except FileNotFoundError:
        return False
    return True


def _name(found: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for path, text in found.items():
        digest.update(os.fsencode(path) + b"\0" + text.encode() + b"\0")
    return file_hashes.short(digest)


def _write(root: Path, target: Path, found: Mapping[str, str], last: tuple[Path, Index]) -> None:
    """Write a snapshot.

    Args:
        root: the folder.
        target: gets its files.
        found: their fingerprints.
        last: the snapshot before, and what was known then.

    Raises:
        ChangedError: a file is no more what its fingerprint says.
        UsageError: a file cannot be read.
    """
    target.mkdir(parents=True)
    folders = {"": str(target)}
    for path, text in found.items():
        above, _, name = path.rpartition("/")
        if above not in folders:
            _add_folder(folders, above)
        copy = f"{folders[above]}/{name}"
        if text.startswith(file_hashes.LINK):
            _copy_link(f"{root}/{path}", copy, text)
        elif last[1].fingerprint(path) != text or not _linked(f"{last[0]}/{path}", copy):
            _copy(f"{root}/{path}", copy, text)
    for folder in folders.values():
        os.chmod(folder, 0o755)  # noqa: PTH101, S103 - thousands, as git has them
        os.utime(folder, (EPOCH, EPOCH))


def _add_folder(folders: dict[str, str], path: str) -> None:
    above = path.rpartition("/")[0]
    if above not in folders:
        _add_folder(folders, above)
    folders[path] = f"{folders['']}/{path}"
    os.mkdir(folders[path])  # noqa: PTH102 - thousands of them


def _linked(old: str, new: str) -> bool:
    try:
        os.link(old, new)
    except OSError:  # it is gone, has too many names, or the file system has no such links
        return False
    return True


def _copy(source: str, copy: str, fingerprint: str) -> None:
    mode = int(fingerprint[:6], 8) & 0o777
    digest = hashlib.sha256()
    try:
        reader = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        raise ChangedError(source) from None  # it could be read a moment ago
    with (
        open(reader, "rb", buffering=0) as file,  # noqa: PTH123 - a descriptor
        open(copy, "xb", buffering=0) as output,  # noqa: PTH123 - thousands of them
    ):
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            output.write(chunk)
        os.fchmod(output.fileno(), mode)
        os.utime(output.fileno(), (seconds(fingerprint),) * 2)
    _confirm(source, digest, fingerprint)


def _copy_link(source: str, copy: str, fingerprint: str) -> None:
    try:
        target = os.readlink(source)  # noqa: PTH115 - as text that is bytes
    except OSError:
        raise ChangedError(source) from None
    os.symlink(target, copy)  # noqa: PTH211 - thousands of them
    os.utime(copy, (seconds(fingerprint),) * 2, follow_symlinks=False)
    _confirm(source, hashlib.sha256(os.fsencode(target)), fingerprint)


def _confirm(source: str, digest: hashlib._Hash, fingerprint: str) -> None:
    if file_hashes.short(digest) != fingerprint.rpartition(" ")[2]:
        raise ChangedError(source)
