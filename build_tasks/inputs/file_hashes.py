"""What a folder's files are, by mode and content; a file that did not change is not read again."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from build_tasks import paths
from build_tasks.errors import UsageError

#: The mode that git gives a symbolic link.
LINK = "120000"
#: Nanoseconds that a file has to be at rest before its times vouch for its content: the clocks of
#: file systems tick slowly (git calls such files racy).
REST = 100_000_000
_CHUNK = 1 << 20
_DIGITS = 32
_FORMAT = 1


class ChangedError(Exception):
    """A file is not what it was a moment ago."""


@dataclass
class Index:
    """What is known of a folder's files.

    Args:
        known: by path, what stat said when a file was read, and its fingerprint.
        snapshot: the name of the last snapshot, which has exactly these files.
    """

    known: dict[str, list[object]] = field(default_factory=dict)
    snapshot: str = ""

    def fingerprint(self, path: str) -> str:
        """Return the last fingerprint of a path, empty if there is none."""
        known = self.known.get(path)
        return str(known[-1]) if known else ""


def home(root: Path) -> Path:
    """Return the folder for what is kept of a folder."""
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
    return paths.cache_folder() / "contexts" / name


def of(root: Path, names: Mapping[str, bool | None]) -> dict[str, str]:
    """Return the fingerprint of each file that is there.

    Args:
        root: the folder.
        names: its files, and whether git says that they are executable.

    Raises:
        UsageError: a file cannot be read.
    """
    index, where = Index(), home(root)
    found = look(root, names, read(where), index)
    where.mkdir(parents=True, exist_ok=True)
    write(where, index)
    return found


def look(root: Path, names: Mapping[str, bool | None], before: Index, now: Index) -> dict[str, str]:
    """Return the fingerprint of each file that is there.

    Args:
        root: the folder.
        names: its files, and whether git says that they are executable.
        before: what is known.
        now: gets what is known then.

    Raises:
        ChangedError: a file changed meanwhile.
        UsageError: a file cannot be read.
    """
    result: dict[str, str] = {}
    real = _Real(str(root))
    moment = time.time_ns()
    for path in sorted(names):
        try:
            seen = os.lstat(f"{root}/{path}")
        except (FileNotFoundError, NotADirectoryError):
            continue
        if not real[path.rpartition("/")[0]]:
            continue
        # Nobody can set the inode's own time: it tells of an edit that keeps the other.
        state = [
            *(seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino, seen.st_mode),
            names[path],
        ]
        known = before.known.get(path)
        if known and known[:-1] == state:
            now.known[path] = known
            result[path] = str(known[-1])
            continue
        kind = stat.S_IFMT(seen.st_mode)
        if kind not in {stat.S_IFREG, stat.S_IFLNK}:
            continue
        _check_text(f"{root}/{path}", path, "its name")
        content = _content(f"{root}/{path}", kind)
        result[path] = f"{_mode(seen.st_mode, executable=names[path])} {content}"
        if moment - seen.st_ctime_ns < REST:
            state[0] = 0
        now.known[path] = [*state, result[path]]
    return result


def short(digest: hashlib._Hash) -> str:
    """Return as much of a digest as fingerprints hold."""
    return digest.hexdigest()[:_DIGITS]


def read(where: Path) -> Index:
    """Return what is known; nothing, if it cannot be read or is no such file."""
    try:
        form, known, snapshot = json.loads((where / "index.json").read_text(encoding="utf-8"))
        right = form == _FORMAT and isinstance(snapshot, str)
        known = {path: _known(state) for path, state in known.items()} if right else {}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return Index()
    return Index(known, snapshot) if right else Index()


def _known(state: object) -> list[object]:
    """Return what is kept of a file.

    Raises:
        ValueError: it is not that.
    """
    if not isinstance(state, list) or not state or not isinstance(state[-1], str):
        raise ValueError(state)
    return state


def write(where: Path, index: Index) -> None:
    """Keep what is known; nobody sees half of it."""
    text = json.dumps([_FORMAT, index.known, index.snapshot], separators=(",", ":"))
    paths.write(where / "index.json", text)


class _Real(dict[str, bool]):
    """Whether a folder is one, and not reached by a link: git takes what is there for gone."""

    def __init__(self, root: str) -> None:
        super().__init__({"": True})
        self._root = root

    def __missing__(self, folder: str) -> bool:
        link = os.path.islink(f"{self._root}/{folder}")  # noqa: PTH114 - thousands of them
        self[folder] = found = not link and self[folder.rpartition("/")[0]]
        return found


def _mode(bits: int, *, executable: bool | None) -> str:
    if stat.S_ISLNK(bits):
        return LINK
    runs = bits & stat.S_IXUSR if executable is None else executable
    return "100755" if runs else "100644"


def _check_text(path: str, text: str, what: str) -> None:
    """Raise UsageError if a text is not UTF-8: BuildKit ends a build with an internal error."""
    if not text.isascii() and any("\udc80" <= character <= "\udcff" for character in text):
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise UsageError(
            f"{shown}: {what} is not UTF-8, which BuildKit needs: rename it, or name it in "
            ".dockerignore"
        )


def _content(path: str, kind: int) -> str:
    try:
        if kind == stat.S_IFLNK:
            target = os.readlink(path)  # noqa: PTH115 - as text that is bytes
            _check_text(path, target, "its target")
            return short(hashlib.sha256(os.fsencode(target)))
        digest = hashlib.sha256()
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - thousands of them
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        return short(digest)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.EINVAL, errno.EISDIR, errno.ENOTDIR}:
            raise ChangedError(path) from None
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
