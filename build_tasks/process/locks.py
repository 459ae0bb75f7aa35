"""Locks between processes; a wait is announced, with the process that holds the lock.

A lock is a file. Its `activity` is what its holder does, like `starts the engine`; `announce` is
told whom a wait is for, if it takes longer than `PATIENCE`. The kernel releases a lock when its
holder ends, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from build_tasks.process.commands import Announce

#: Seconds of waiting before it is announced.
PATIENCE = 0.5
_LOCKS = Path("/proc/locks")
#: The descriptors of the locks that this process shares until it ends.
_shared: dict[Path, int] = {}
_sharing = threading.Lock()


@contextlib.contextmanager
def hold(path: Path, activity: str, announce: Announce) -> Iterator[None]:
    """Hold a lock while the block runs."""
    descriptor = _open(path)
    try:
        _acquire(descriptor, fcntl.LOCK_EX, partial(_announce_wait, path, activity, announce))
        yield
    finally:
        os.close(descriptor)


def share(path: Path, activity: str, announce: Announce) -> None:
    """Share a lock with other processes until this one ends, so that none can hold it alone.

    The activity is that of a process that holds it alone.
    """
    with _sharing:
        descriptor = _shared[path] if path in _shared else _shared.setdefault(path, _open(path))
        _acquire(descriptor, fcntl.LOCK_SH, partial(_announce_wait, path, activity, announce))


@contextlib.contextmanager
def alone(path: Path, seconds: float, activity: str, announce: Announce) -> Iterator[bool]:
    """Hold a shared lock alone while the block runs; yield False if others did not release it.

    The activity is that of the processes that share it, for which it waits so many seconds.
    """
    share(path, activity, announce)
    descriptor = _shared[path]
    announce_wait = partial(_announce_wait, path, activity, announce)
    try:
        yield _acquire(descriptor, fcntl.LOCK_EX, announce_wait, PATIENCE + seconds)
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_SH)


def holder(path: Path) -> int | None:
    """Return the id of a process that holds a lock, None if there is none or it is unknown.

    Of several, it is another process than this one. A line of /proc/locks is `1: FLOCK ADVISORY
    WRITE PID MAJOR:MINOR:INODE 0 EOF` (proc_locks(5)); a process of another namespace has no id.
    """
    try:
        inode = str(path.stat().st_ino)
        lines = _LOCKS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    flocks = [fields for line in lines if (fields := line.split())[1:2] == ["FLOCK"]]
    holders = [int(fields[4]) for fields in flocks if fields[5].rpartition(":")[2] == inode]
    others = [pid for pid in holders if pid != os.getpid()]
    return next((pid for pid in (others or holders) if pid > 0), None)


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)


def _acquire(
    descriptor: int, operation: int, announce_wait: Callable[[], None], seconds: float = math.inf
) -> bool:
    """Return whether a lock was acquired in time."""
    began = time.monotonic()
    announced = False
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            return True
        waited = time.monotonic() - began
        if waited > PATIENCE and not announced:
            announce_wait()
            announced = True
        if waited > seconds:
            return False
        time.sleep(0.05)


def _announce_wait(path: Path, activity: str, announce: Announce) -> None:
    pid = holder(path)
    announce(f"waiting for {f'process {pid}' if pid else 'another process'}, which {activity}")
