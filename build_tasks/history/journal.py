"""The journal: the records of builds as files, in a store that stays small.

`records/RUN/IDENTITY.json` in the cache folder. Several processes write at once and need no lock:
each file is written beside its place and put there in one move, and a run that ends removes the
oldest.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from build_tasks import paths
from build_tasks.errors import DiskError, UsageError
from build_tasks.history import serialization
from build_tasks.history.record import SCHEMA, BuildRecord

#: The whole matrix, twenty times.
KEEP_BUILDS = 480
#: Bytes of all records together.
KEEP_BYTES = 64 * 1024 * 1024
#: Seconds; what is older than a release cycle explains no build of today.
KEEP_SECONDS = 90 * 86400.0
#: Seconds after which a run that has not written anything is taken for one that was killed.
ABANDONED = 86400.0
#: How often a folder that is removed while a file is put into it is made again.
RACES = 100
LAST = "last"
SUFFIX = ".json"

Announce = Callable[[str], None]


def folder() -> Path:
    """Return the folder of the records."""
    return paths.cache_folder() / "records"


def write(record: BuildRecord) -> Path:
    """Write a record down and return its file; `prune` keeps the store small.

    Raises:
        DiskError: the folder cannot be written to.
    """
    file = folder() / _run(record) / f"{_safe(record.identity)}{SUFFIX}"
    try:
        _put(file, serialization.to_text(record))
    except OSError as error:
        raise DiskError(f"{file}: the record cannot be written: {error.strerror}") from None
    return file


def prune(keep: BuildRecord) -> None:
    """Remove the oldest records beyond the bounds; looking at all of them is not for every write.

    Args:
        keep: a record whose run stays, however large it is.
    """
    now = time.time()
    size = 0
    newest_first = sorted(_files(), key=lambda one: one.stat().st_mtime, reverse=True)
    for builds, entry in enumerate(newest_first, 1):
        size += entry.stat().st_size
        old = now - entry.stat().st_mtime > KEEP_SECONDS
        file = Path(entry.path)
        if file.parent.name != _run(keep) and (old or builds > KEEP_BUILDS or size > KEEP_BYTES):
            with contextlib.suppress(OSError):
                file.unlink()
                file.parent.rmdir()  # fails while others are in it
    _prune_logs(now)
    _prune_references()


def _prune_logs(now: float) -> None:
    """Remove the logs of runs without records, and the metadata that killed runs left."""
    kept = set(runs())
    logs = _within(paths.cache_folder() / "logs")
    left = [entry for entry in logs if entry.is_dir() and entry.name not in kept]
    for entry in (*left, *_within(paths.cache_folder() / "metadata")):
        with contextlib.suppress(OSError):
            newest = max(one.stat().st_mtime for one in (entry, *_within(entry)))
            if now - newest > ABANDONED:
                shutil.rmtree(entry) if entry.is_dir() else Path(entry.path).unlink()
    for entry in logs:
        with contextlib.suppress(OSError):
            if entry.is_symlink() and not Path(entry.path).exists():
                Path(entry.path).unlink()


def _prune_references() -> None:
    """Remove the oldest of the notes that buildx makes of builds, and never removes.

    They lie in `refs/BUILDER/NODE` of its folder, one file for each build.
    """
    cache = paths.cache_folder()
    for store in (cache / "buildx", *cache.glob("builders/*/buildx")):
        for node in (*store.glob("refs/*"), *store.glob("refs/*/*")):
            notes = [entry for entry in _within(node) if entry.is_file()]
            with contextlib.suppress(OSError):
                notes.sort(key=lambda note: note.stat().st_mtime, reverse=True)
                for note in notes[KEEP_BUILDS:]:
                    Path(note.path).unlink()


def runs() -> list[str]:
    """Return the names of the runs that are written down, newest first."""
    newest: dict[str, float] = {}
    for entry in _files():
        name = Path(entry.path).parent.name
        newest[name] = max(entry.stat().st_mtime, newest.get(name, 0.0))
    return sorted(newest, key=lambda name: newest[name], reverse=True)


def of_run(name: str, announce: Announce) -> list[BuildRecord]:
    """Return the records of a run in the order in which its builds began."""
    inside = _within(folder() / _safe(name))
    files = (Path(entry.path) for entry in inside if entry.name.endswith(SUFFIX))
    found = [*_read_all(files, announce)]
    return sorted(found, key=lambda record: (record.began, record.identity))


def last_run(announce: Announce) -> list[BuildRecord]:
    """Return the records of the newest run of which any can be read; none if there is none."""
    return next((found for name in runs() if (found := of_run(name, announce))), [])


def by_identity(identity: str, announce: Announce) -> Iterator[BuildRecord]:
    """Yield the records of one build, newest first; each is read when it is asked for."""
    wanted = f"{_safe(identity)}{SUFFIX}"
    files = [entry for entry in _files() if entry.name == wanted]
    files.sort(key=lambda entry: (entry.stat().st_mtime, entry.path), reverse=True)
    yield from _read_all((Path(entry.path) for entry in files), announce)


def previous(record: BuildRecord, announce: Announce) -> BuildRecord | None:
    """Return the record of the same build that an explanation compares with, None without one.

    That is the newest earlier build that ended well: one that failed made some of its steps only.
    """
    first: BuildRecord | None = None
    for one in by_identity(record.identity, announce):
        if one.began < record.began and one.outcome != "skipped":
            if one.outcome == "built":
                return one
            first = first or one
    return first


def find(text: str, announce: Announce) -> list[BuildRecord]:
    """Return the records that a person means.

    Args:
        text: `last`, for the last run; a run's name; a build like `ci-3.11-amd64`, or `ci-3.11` for
            the newest record of each of its platforms; or a file or folder of records.
        announce: is told what cannot be read.

    Raises:
        UsageError: there is no such record, or the file is none of ours.
    """
    names = runs()
    if text == LAST:
        if found := last_run(announce):
            return found
        raise UsageError("no build is written down yet: invoke image.build makes a record of each")
    if text in names:
        return of_run(text, announce)
    identities = sorted({entry.name.removesuffix(SUFFIX) for entry in _files()})
    meant = [one for one in identities if one == text or one.startswith(f"{text}-")]
    newest = [next(by_identity(one, announce), None) for one in meant]
    if found := [one for one in newest if one]:
        return found
    path = paths.expand_user(text)
    if path.is_dir():
        return [*_read_all(sorted(path.rglob("*.json")), announce)] or _none(
            text, names, identities
        )
    if path.exists() or path.suffix == ".json":
        return read(path, announce)
    return _none(text, names, identities)


def read(file: Path, announce: Announce) -> list[BuildRecord]:
    """Return the records of a file: one as it is written down, or a report of several as JSON.

    Raises:
        UsageError: it cannot be read, or is none of ours.
    """
    try:
        found, later = serialization.of_bytes(file.read_bytes())
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{file}: is no record of a build: {error}") from None
    if later:
        announce(_later(str(file), later))
    return found


def _none(text: str, names: list[str], identities: list[str]) -> NoReturn:
    choices = ", ".join([LAST, *names[:3], *identities[:6], "a file or a folder of records"])
    raise UsageError(f"no record of {text!r}: choose {choices}")


def _read_all(files: Iterable[Path], announce: Announce) -> Iterator[BuildRecord]:
    """Yield what can be read, and say what cannot; what went meanwhile was too old anyway."""
    newer: set[int] = set()
    for file in files:
        try:
            found, later = serialization.of_bytes(file.read_bytes())
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            announce(f"warning: {file} is passed over: it is no record of a build: {error}")
            continue
        if later and later not in newer:
            newer.add(later)
            announce(_later(str(folder()), later))
        yield from found


def _later(place: str, schema: int) -> str:
    return (
        f"warning: {place}: written by a later version of the suite (schema {schema}, this one "
        f"knows {SCHEMA}): what it does not know is left out"
    )


def _run(record: BuildRecord) -> str:
    """Return the name of the folder that a record is in."""
    return _safe(record.run or record.began or "run")


def _safe(name: str) -> str:
    """Return a name that is one component of a path, and no hidden one."""
    return re.sub(r"[^\w.+-]", "_", name, flags=re.ASCII).lstrip(".")[:200] or "_"


def _put(file: Path, text: str) -> None:
    """Write a file as a whole; the folder may be removed by whoever finds it empty meanwhile."""
    folder().mkdir(parents=True, exist_ok=True)
    for attempt in range(RACES):
        try:
            file.parent.mkdir(exist_ok=True)
            paths.write(file, text, aside=folder())
        except (FileNotFoundError, FileExistsError):  # of a folder that is gone by then
            if attempt == RACES - 1:
                raise
        else:
            break


def _files() -> Iterator[os.DirEntry[str]]:
    """Yield the files of all records, which know what the folder says about them."""
    for run in _within(folder()):
        for entry in _within(run):
            if entry.name.endswith(SUFFIX):
                with contextlib.suppress(OSError):
                    entry.stat()  # which is kept
                    yield entry


def _within(place: os.PathLike[str]) -> list[os.DirEntry[str]]:
    """Return what a folder holds; nothing, if it went meanwhile (which Path.glob minds)."""
    try:
        with os.scandir(place) as found:
            return [*found]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DiskError(f"{os.fspath(place)}: cannot be read: {error.strerror}") from None
