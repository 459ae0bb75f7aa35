"""The cache folder, atomic writes, and text files that people write."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import hashlib
import json
import os
import re
import stat
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import platformdirs

from build_tasks.errors import UsageError

#: Temporary files: `.NAME.RANDOM.airflow-images`, with at most 50 characters (200 bytes) of a name.
_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{8}\.airflow-images")
_NAME = 50


def cache_folder() -> Path:
    """Return the folder for everything that can be made again.

    Raises:
        UsageError: this user has no home folder.
    """
    if name := os.environ.get("AIRFLOW_IMAGES_CACHE"):
        folder = expand_user(name)
        if name.startswith("~") and folder == Path(name):
            raise UsageError(f"AIRFLOW_IMAGES_CACHE: there is no home folder for {name!r}")
        return folder.absolute()
    try:
        return platformdirs.user_cache_path("airflow-images")
    except RuntimeError:
        raise UsageError(
            "there is no folder for the cache, because this user has no home folder: set HOME or "
            "AIRFLOW_IMAGES_CACHE"
        ) from None


def builder_folder(name: str) -> Path:
    """Return the folder of a dedicated builder.

    Each has its own buildx store (BUILDX_CONFIG): buildx locks a whole store while it asks the
    nodes of one builder, so a node that hangs would delay the builds on all others.
    """
    return cache_folder() / "builders" / name


def docker_config() -> Path:
    """Return the user's folder of docker's configuration."""
    return Path(os.environ.get("DOCKER_CONFIG") or expand_user("~/.docker"))


def expand_user(text: str) -> Path:
    """Return a path with `~` expanded, or unchanged if the user is unknown."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser raises RuntimeError


def read_text(path: Path) -> str:
    """Return a text file's content without a byte order mark, with its line ends.

    Raises:
        UsageError: it cannot be read, or is not UTF-8.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # a name that no file can have
        raise UsageError(f"{str(path)!r}: cannot be read: {error}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        line = content.count(b"\n", 0, error.start) + 1
        reason = "it is UTF-16, not UTF-8" if utf_16 else f"line {line} is not UTF-8"
        raise UsageError(f"{path}: cannot be read: {reason}") from None


def read_json(file: Path) -> dict[str, Any]:
    """Return the table in a JSON file, empty if there is none."""
    try:
        return parse_json(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return {}


def parse_json(text: str) -> dict[str, Any]:
    """Return the table that a JSON text is, empty if it is none."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def parse_toml(text: str) -> dict[str, Any]:
    """Return the content of a TOML text.

    Raises:
        ValueError: it is no TOML, is nested too deeply, or has a number that is too long.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_data(file: Path) -> dict[str, Any]:
    """Return the content of a TOML file that is a part of this package."""
    return parse_toml(file.read_text(encoding="utf-8"))


def normalize_modes(folder: Path) -> None:
    """Give files modes that do not depend on the umask, which would change a build's cache."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if executable else 0o644)


def kept() -> Path:
    """Return the folder of the cache whose files are written once, with fixed modes; see `keep`."""
    return cache_folder() / "kept"


def keep(kind: str, files: Mapping[str, bytes]) -> Path:
    """Return a folder of the cache that has some files, and is named by its content.

    It is written at once and never again, because builds of several processes read it.

    Args:
        kind: the folder in `kept` that has all of its kind.
        files: the content of each file by its path.
    """
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    home = kept() / kind
    folder = home / digest.hexdigest()[:16]
    if folder.exists():
        return folder
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".") as temporary:
        fresh = Path(temporary, "new")
        for name, content in files.items():
            file = fresh / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        normalize_modes(fresh)
        try:
            fresh.rename(folder)
        except OSError:  # another process was faster
            if not folder.exists():
                raise
    return folder


def write(file: Path, text: str, *, aside: Path | None = None) -> None:
    """Write a text file atomically, and make its folder if it is missing; see `replacing`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file, aside=aside) as output:
        output.write(text.encode(errors="surrogateescape"))


@contextlib.contextmanager
def replacing(file: Path, *, aside: Path | None = None) -> Iterator[IO[bytes]]:
    """Yield a stream whose content replaces a file atomically, if the block succeeds.

    Several processes may write the same file at once. The temporary files of processes that were
    killed are removed. A symbolic link stays, and its target is replaced; a pipe or a device is
    written to.

    Args:
        file: the file to replace.
        aside: the folder for the temporary file, on the same file system; by default the file's.

    Raises:
        OSError: the file cannot be written.
    """
    target = _regular_file(file)
    if target is None:
        # Without O_CREAT, which Linux may refuse for another user's pipe (fs.protected_fifos).
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_TRUNC), "wb") as output:
            yield output
        return
    folder = target.parent if aside is None else aside
    _remove_abandoned(folder)
    temporary, descriptor = _open_temporary(folder, target.name)
    try:
        with os.fdopen(descriptor, "wb") as output:
            yield output
            output.flush()
            temporary.replace(target)  # before the file is closed, which releases its lock
    finally:
        temporary.unlink(missing_ok=True)


def link(path: Path, target: Path) -> None:
    """Make or replace a symbolic link; a relative target starts at the link's folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path.parent, path.name)
    temporary.symlink_to(target)
    temporary.replace(path)


def _regular_file(file: Path) -> Path | None:
    """Return the file to replace, None if it is a pipe, a device or an open file."""
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    while file.is_symlink():
        # Links like /dev/stdout lead to what is open, whatever name they show.
        if file.parent.resolve().parts[1:2] in {("dev",), ("proc",)}:
            return None
        file = file.parent / file.readlink()
    return file if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else None


def _temporary_name(folder: Path, name: str) -> Path:
    return folder / f".{name[:_NAME]}.{os.urandom(4).hex()}.airflow-images"


def _open_temporary(folder: Path, name: str) -> tuple[Path, int]:
    """Return a new file and its descriptor, which holds a lock until it is closed."""
    while True:
        path = _temporary_name(folder, name)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.exists():
            return path, descriptor
        os.close(descriptor)  # another process removed it before it was locked


def _remove_abandoned(folder: Path) -> None:
    """Remove the temporary files that no running process has locked."""
    with os.scandir(folder) as entries:
        abandoned = [entry.path for entry in entries if _TEMPORARY.fullmatch(entry.name)]
    for path in abandoned:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                Path(path).unlink()
            finally:
                os.close(descriptor)
