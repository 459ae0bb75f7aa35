"""Where the suite keeps what it makes, and how it reads text files that people write."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from build_tasks.errors import UsageError

#: Characters of a file's name that the name of its temporary file has, too: at most 200 bytes.
_NAME = 50
#: The temporary files of `replacing`, and of nothing else: `.NAME.RANDOM.airflow-images`.
_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{8}\.airflow-images")
#: Links that are followed until they are taken for a loop, as Linux does.
_LINKS = 40


def cache_folder() -> Path:
    """Return the folder for everything that can be made again.

    `AIRFLOW_IMAGES_CACHE` names it; otherwise it is the user's cache folder for this suite.
    """
    named = os.environ.get("AIRFLOW_IMAGES_CACHE")
    if named:
        folder = expanded(named)
        if named.startswith("~") and folder == Path(named):
            raise UsageError(f"AIRFLOW_IMAGES_CACHE: there is no home folder for {named!r}")
        return folder.absolute()
    import platformdirs  # noqa: PLC0415 - start-up time

    try:
        return platformdirs.user_cache_path("airflow-images")
    except RuntimeError:
        raise UsageError(
            "there is no folder for the cache, because this user has no home folder: set HOME or "
            "AIRFLOW_IMAGES_CACHE"
        ) from None


def expanded(text: str) -> Path:
    """Return a path with the user's home for `~`; the home of a user that is not there stays."""
    # Path.expanduser raises RuntimeError for such a user.
    return Path(os.path.expanduser(text))  # noqa: PTH111


def read_text(path: Path) -> str:
    """Return a text file's content, without a byte order mark and with its line ends as they are.

    Raises:
        FileNotFoundError: it is not there.
        UsageError: it cannot be read, or is not UTF-8.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
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


def normalise(folder: Path) -> None:
    """Give the files modes that do not depend on the umask: a build's cache looks at them."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            runs = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if runs else 0o644)


def builder_folder(name: str) -> Path:
    """Return the folder of a dedicated builder.

    Each has one, with a store of buildx's own (BUILDX_CONFIG): buildx locks a whole store while it
    asks one builder's nodes, so a node that hangs would delay the builds of all others.
    """
    return cache_folder() / "builders" / name


def write(file: Path, text: str, *, aside: Path | None = None) -> None:
    """Write a text file in one step; see `replacing`."""
    with replacing(file, aside=aside) as output:
        output.write(text.encode(errors="surrogateescape"))


@contextlib.contextmanager
def replacing(file: Path, *, aside: Path | None = None) -> Iterator[IO[bytes]]:
    """Yield a stream whose content replaces a file in one step, if the block succeeds.

    Every process writes a temporary file of its own, so several may write the same file at once,
    and a reader never sees half of it. The temporary files of killed processes are removed.

    A symbolic link stays; the file that it points to is replaced. A pipe or a device is written to.

    Args:
        file: the file to replace.
        aside: the folder for the temporary file, on the same file system; the file's own by
            default.

    Raises:
        OSError: the file cannot be written.
    """
    target = _target(file)
    if target is None:
        # Without O_CREAT, which Linux may refuse for somebody else's pipe (fs.protected_fifos).
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_TRUNC), "wb") as output:
            yield output
        return
    folder = target.parent if aside is None else aside
    _remove_abandoned(folder)
    fresh, descriptor = _temporary(folder, target.name)
    try:
        with os.fdopen(descriptor, "wb") as output:
            yield output
            output.flush()
            fresh.replace(target)  # before the file is closed, which gives up its lock
    finally:
        fresh.unlink(missing_ok=True)


def link(place: Path, target: Path) -> None:
    """Make a symbolic link, in place of what is there.

    Args:
        place: the link.
        target: what it points to, from the link's folder if it is relative.
    """
    fresh = place.with_name(f".{place.name[:_NAME]}.{os.urandom(4).hex()}.airflow-images")
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh.symlink_to(target)
    fresh.replace(place)


def _target(file: Path) -> Path | None:
    """Return the file that is to be replaced, None if it must be written to as it is."""
    for _ in range(_LINKS):
        if not file.is_symlink():
            break
        # /dev/stdout and its kind lead to what is open, whatever the name that the link shows.
        if file.parent.resolve().parts[1:2] in {("dev",), ("proc",)}:
            return None
        file = file.parent / file.readlink()
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        return file
    return file if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else None


def _temporary(folder: Path, name: str) -> tuple[Path, int]:
    """Return a new file and its descriptor, locked as long as that is open."""
    while True:
        fresh = folder / f".{name[:_NAME]}.{os.urandom(4).hex()}.airflow-images"
        descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        with contextlib.suppress(OSError):  # a file system without locks: nothing is removed
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if fresh.exists():
            return fresh, descriptor
        os.close(descriptor)  # another process removed it before it was locked


def _remove_abandoned(folder: Path) -> None:
    """Remove the temporary files that no running process has locked."""
    with os.scandir(folder) as entries:
        found = [entry.path for entry in entries if _TEMPORARY.fullmatch(entry.name)]
    for path in found:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                Path(path).unlink()
            finally:
                os.close(descriptor)


def toml(text: str) -> dict[str, Any]:
    """Return what a text in TOML says.

    Raises:
        ValueError: it is none, is nested too deeply, or has a number that is too long.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def docker_config() -> Path:
    """Return the user's folder of docker's configuration."""
    return Path(os.environ.get("DOCKER_CONFIG") or expanded("~/.docker"))
