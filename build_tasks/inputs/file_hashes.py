"""The mode and the hash of each file of a folder; an unchanged file is not read again."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

from build_tasks import paths
from build_tasks.errors import UsageError

#: The mode that git gives a symbolic link.
LINK = "120000"
#: Nanoseconds that a file must be unchanged before its times prove that its content is the same:
#: file systems have coarse clocks (git calls such files racy).
REST = 100_000_000
_DIGITS = 32
#: Neither through a link nor waiting for a pipe's writer, if the file is one by now.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PIECE = 1 << 16
#: What is no longer the file, or no longer the link, that it was a moment ago.
_CHANGED = {
    *(errno.ENOENT, errno.ENOTDIR, errno.EINVAL, errno.EISDIR),
    *(errno.ELOOP, errno.ENXIO),  # a link, a socket
}
_FORMAT = 1


class ChangedError(Exception):
    """A file changed while it was read."""


def _hash(place: str, _: str, mode: str) -> str:
    return content(place, link=mode == LINK)


@dataclass
class Index:
    """What is known of a folder's files.

    Args:
        known: for each path, what stat returned when the file was read, and its mode and hash.
        snapshot: the name of the last snapshot, which has exactly these files.
        read: reads a file that is not known, by its place, path and mode, and returns its hash.
    """

    known: dict[str, list[object]] = field(default_factory=dict)
    snapshot: str = ""
    read: Callable[[str, str, str], str] = field(default=_hash, compare=False)

    def fingerprint(self, path: str) -> str:
        """Return the last mode and hash of a path, empty if there is none."""
        known = self.known.get(path)
        return str(known[-1]) if known else ""


def home(root: Path) -> Path:
    """Return the cache folder of a folder's index and snapshots."""
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
    return paths.cache_folder() / "contexts" / name


def of(root: Path, names: Mapping[str, bool | None]) -> dict[str, str]:
    """Return the mode and hash of each file that exists; see `look`."""
    index, folder = Index(), home(root)
    hashes = look(root, names, read(folder), index)
    write(folder, index)
    return hashes


def look(
    root: Path,
    names: Mapping[str, bool | None],
    before: Index,
    now: Index,
    elsewhere: Mapping[str, Path] = MappingProxyType({}),
) -> dict[str, str]:
    """Return the mode and hash of each file that exists.

    Args:
        root: the folder.
        names: its files, and whether git says that they are executable.
        before: the last index.
        now: an empty index, which is filled.
        elsewhere: the place of each file that is not below the folder.

    Raises:
        ChangedError: a file changed meanwhile.
        UsageError: a file cannot be read.
    """
    result: dict[str, str] = {}
    moment = time.time_ns()
    top = str(root)

    @cache
    def real(folder: str) -> bool:
        """Return whether a folder is reached without a link; for git, others are removed."""
        above = folder.rpartition("/")[0]
        return not folder or (real(above) and not os.path.islink(f"{top}/{folder}"))  # noqa: PTH114 - thousands

    for path in sorted(names):
        place = str(elsewhere.get(path) or f"{top}/{path}")
        try:
            status = os.lstat(place)
        except (FileNotFoundError, NotADirectoryError):
            continue
        if path not in elsewhere and not real(path.rpartition("/")[0]):
            continue
        # ctime cannot be set by programs: it changes even where an edit keeps mtime.
        times = status.st_mtime_ns, status.st_ctime_ns
        state = [*times, status.st_size, status.st_ino, status.st_mode, names[path]]
        known = before.known.get(path)
        if known and known[:-1] == state:
            now.known[path] = known
            result[path] = str(known[-1])
            continue
        kind = stat.S_IFMT(status.st_mode)
        if kind not in {stat.S_IFREG, stat.S_IFLNK}:
            continue
        _require_utf_8(place, path, "its name")
        runs = status.st_mode & stat.S_IXUSR if names[path] is None else names[path]
        mode = LINK if kind == stat.S_IFLNK else "100755" if runs else "100644"
        digest = now.read(place, path, mode)
        result[path] = f"{mode} {digest}"
        if moment - status.st_ctime_ns < REST:
            state[0] = 0
        now.known[path] = [*state, result[path]]
    return result


def short(digest: hashlib._Hash) -> str:
    """Return the beginning of a digest, in the length of fingerprints."""
    return digest.hexdigest()[:_DIGITS]


def read(folder: Path) -> Index:
    """Return the index in a folder; an empty one if there is none, or it is damaged."""
    try:
        version, known, snapshot = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        if version == _FORMAT and all(isinstance(state[-1], str) for state in known.values()):
            return Index(known, str(snapshot))
    except (OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError):
        pass
    return Index()


def write(folder: Path, index: Index) -> None:
    """Write the index to a folder."""
    text = json.dumps([_FORMAT, index.known, index.snapshot], separators=(",", ":"))
    paths.write(folder / "index.json", text)


def _require_utf_8(path: str, text: str, what: str) -> None:
    """Raise UsageError for other texts: BuildKit would fail with an internal error."""
    if not text.isascii() and any("\udc80" <= character <= "\udcff" for character in text):
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise UsageError(
            f"{shown}: {what} is not UTF-8, which BuildKit needs: rename it, or name it in "
            ".dockerignore"
        )


def content(path: str, *, link: bool) -> str:
    """Return the hash of a file's content, or of a link's target.

    Raises:
        ChangedError: it is gone, or the other one of both.
        UsageError: it cannot be read.
    """
    digest = hashlib.sha256()
    if link:
        digest.update(os.fsencode(target(path)))
    else:
        for piece in pieces(path):
            digest.update(piece)
    return short(digest)


def pieces(path: str) -> Iterator[bytes]:
    """Yield the content of a file; see `content` for the errors."""
    try:
        file = os.open(path, _READ)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):  # a pipe would be an empty file
                raise ChangedError(path)
            while piece := os.read(file, _PIECE):
                yield piece
        finally:
            os.close(file)
    except OSError as error:
        raise _unreadable(path, error) from None


def target(path: str) -> str:
    """Return the target of a link; see `content` for the errors."""
    try:
        text = os.readlink(path)  # noqa: PTH115 - as text that is bytes
    except OSError as error:
        raise _unreadable(path, error) from None
    _require_utf_8(path, text, "its target")
    return text


def _unreadable(path: str, error: OSError) -> Exception:
    if error.errno in _CHANGED:
        return ChangedError(path)
    return UsageError(f"{path}: cannot be read: {error.strerror}")
