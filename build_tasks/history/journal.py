"""The records of builds: `records/RUN/IDENTITY.json` in the cache folder.

Several processes write without a lock: a file is moved into place when it is complete, and each run
removes the oldest.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from build_tasks import paths
from build_tasks.errors import DiskError, UsageError
from build_tasks.history import serialization
from build_tasks.history.record import SCHEMA, BuildRecord
from build_tasks.process import Announce
from build_tasks.text import hints

#: Records that are kept: twenty runs of the whole matrix.
KEEP_BUILDS = 480
#: Bytes of all records.
KEEP_BYTES = 64 * 1024 * 1024
#: Seconds for which a record is kept: a release cycle.
KEEP_SECONDS = 90 * 86400.0
#: Seconds without a write after which a run is taken for killed.
ABANDONED = 86400.0
#: Attempts to write into a folder that another process removes.
RACES = 100
LAST = "last"
SUFFIX = ".json"


def folder() -> Path:
    """Return the folder of the records."""
    return paths.cache_folder() / "records"


def write(record: BuildRecord) -> Path:
    """Write a record, and return its file.

    Raises:
        DiskError: the file cannot be written.
    """
    file = folder() / _run(record) / f"{_safe(record.identity)}{SUFFIX}"
    text = serialization.to_text(record)
    try:
        folder().mkdir(parents=True, exist_ok=True)
        for attempt in range(RACES):
            try:
                paths.write(file, text, aside=folder())
            except (FileNotFoundError, FileExistsError):  # another process removed the folder
                if attempt == RACES - 1:
                    raise
            else:
                break
    except OSError as error:
        raise DiskError(f"{file}: the record cannot be written: {error.strerror}") from None
    return file


def prune(keep: BuildRecord) -> None:
    """Remove old records and logs, but none of the run of `keep`."""
    now = time.time()
    size = 0
    for count, (file, status) in enumerate(_files(), 1):
        size += status.st_size
        old = now - status.st_mtime > KEEP_SECONDS
        if file.parent.name != _run(keep) and (old or count > KEEP_BUILDS or size > KEEP_BYTES):
            with contextlib.suppress(OSError):
                file.unlink()
                file.parent.rmdir()  # fails while it has other files
    _prune_logs(now)
    _prune_references()


def _prune_logs(now: float) -> None:
    """Remove the logs of runs without records, and the metadata and images of killed runs."""
    kept = set(runs())
    logs = _entries(paths.cache_folder() / "logs")
    unused = [entry for entry in logs if entry.is_dir() and entry.name not in kept]
    left = (_entries(paths.cache_folder() / name) for name in ("metadata", "layouts"))
    for entry in (*unused, *chain.from_iterable(left)):
        with contextlib.suppress(OSError):
            newest = max(item.stat().st_mtime for item in (entry, *_entries(entry)))
            if now - newest > ABANDONED:
                shutil.rmtree(entry) if entry.is_dir() else Path(entry.path).unlink()
    for entry in logs:
        with contextlib.suppress(OSError):
            if entry.is_symlink() and not Path(entry.path).exists():
                Path(entry.path).unlink()


def _prune_references() -> None:
    """Remove the oldest of buildx's files `refs/BUILDER/NODE/BUILD`, which it never removes."""
    cache = paths.cache_folder()
    for store in (cache / "buildx", *cache.glob("builders/*/buildx")):
        for node in (*store.glob("refs/*"), *store.glob("refs/*/*")):
            builds = _newest_first(entry for entry in _entries(node) if entry.is_file())
            for file, _ in builds[KEEP_BUILDS:]:
                with contextlib.suppress(OSError):
                    file.unlink()


def runs() -> list[str]:
    """Return the names of the recorded runs, newest first."""
    return [*dict.fromkeys(file.parent.name for file, _ in _files())]


def of_run(name: str, announce: Announce) -> list[BuildRecord]:
    """Return the records of a run, by the time when the builds began."""
    entries = _entries(folder() / _safe(name))
    files = (Path(entry.path) for entry in entries if entry.name.endswith(SUFFIX))
    return sorted(_read_all(files, announce), key=lambda record: (record.began, record.identity))


def last_run(announce: Announce) -> list[BuildRecord]:
    """Return the records of the newest readable run; none if there is none."""
    return next((records for name in runs() if (records := of_run(name, announce))), [])


def by_identity(identity: str, announce: Announce) -> Iterator[BuildRecord]:
    """Yield the records of one build, newest first; each is read when it is needed."""
    name = f"{_safe(identity)}{SUFFIX}"
    yield from _read_all((file for file, _ in _files() if file.name == name), announce)


def previous(record: BuildRecord, announce: Announce) -> BuildRecord | None:
    """Return the record of the same build to compare with: the newest earlier one that succeeded.

    If none succeeded, the newest that failed, which has some of the steps.
    """
    earlier = (
        candidate
        for candidate in by_identity(record.identity, announce)
        if candidate.began < record.began and candidate.outcome != "skipped"
    )
    newest = next(earlier, None)
    if newest and newest.outcome != "built":
        return next((candidate for candidate in earlier if candidate.outcome == "built"), newest)
    return newest


def find(text: str, announce: Announce) -> list[BuildRecord]:
    """Return the records that a person asks for.

    Args:
        text: `last` for the last run; a run's name; a build like `ci-3.11-amd64`, or `ci-3.11` for
            the newest record of each of its platforms; or a file or folder of records.
        announce: is told what cannot be read.

    Raises:
        UsageError: there is no such record, or the file is not a record.
    """
    names = runs()
    if text == LAST:
        if records := last_run(announce):
            return records
        raise UsageError(f"no build is recorded yet: {hints.task('image.build')} records each")
    if text in names:
        return of_run(text, announce)
    identities = sorted({file.name.removesuffix(SUFFIX) for file, _ in _files()})
    matching = [name for name in identities if name == text or name.startswith(f"{text}-")]
    newest = [next(by_identity(name, announce), None) for name in matching]
    records = [record for record in newest if record]
    path = paths.expand_user(text)
    if not records and path.is_dir():
        records = [*_read_all(sorted(path.rglob("*.json")), announce)]
    elif not records and (path.exists() or path.suffix == ".json"):
        records = read(path, announce)
    if not records:
        choices = ", ".join([LAST, *names[:3], *identities[:6], "a file or a folder of records"])
        raise UsageError(f"no record of {text!r}: choose {choices}")
    return records


def read(file: Path, announce: Announce) -> list[BuildRecord]:
    """Return the records of a file: a record, or a report as JSON.

    Raises:
        UsageError: it cannot be read, or is not a record.
    """
    try:
        records, later = serialization.of_bytes(file.read_bytes())
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{file}: not a record of a build: {error}") from None
    if later:
        announce(
            f"warning: a record was written by a later version (schema {later}, this one reads "
            f"{SCHEMA}): what is new in it is ignored"
        )
    return records


def _read_all(files: Iterable[Path], announce: Announce) -> Iterator[BuildRecord]:
    """Yield the records of files, without those that cannot be read; warn of each thing once."""
    once = functools.cache(announce)
    for file in files:
        try:
            yield from read(file, once)
        except UsageError as error:
            # One that is gone was pruned by another process, which may have written it again since.
            if not isinstance(error.__cause__, FileNotFoundError):
                announce(f"warning: ignored: {error}")


def _run(record: BuildRecord) -> str:
    return _safe(record.run or record.began or "run")


def _safe(name: str) -> str:
    """Return a name as one component of a path that is not hidden."""
    return re.sub(r"[^\w.+-]", "_", name, flags=re.ASCII).lstrip(".")[:200] or "_"


def _files() -> list[tuple[Path, os.stat_result]]:
    """Return the files of all records with their status, newest first."""
    entries = (entry for run in _entries(folder()) for entry in _entries(run))
    return _newest_first(entry for entry in entries if entry.name.endswith(SUFFIX))


def _newest_first(entries: Iterable[os.DirEntry[str]]) -> list[tuple[Path, os.stat_result]]:
    files = []
    for entry in entries:
        with contextlib.suppress(OSError):
            files.append((Path(entry.path), entry.stat()))
    return sorted(files, key=lambda file: (file[1].st_mtime, file[0]), reverse=True)


def _entries(path: os.PathLike[str]) -> list[os.DirEntry[str]]:
    """Return the entries of a folder; none if it is gone."""
    try:
        with os.scandir(path) as entries:
            return [*entries]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DiskError(f"{os.fspath(path)}: cannot be read: {error.strerror}") from None
