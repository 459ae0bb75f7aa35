"""Locks between processes, which say whom they wait for.

The kernel frees a lock when its holder ends, however that ends: a lock is never left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

#: Seconds of waiting before it is announced.
PATIENCE = 0.5
_HELD = Path("/proc/locks")
#: The descriptors of the locks that this process shares until it ends.
_shared: dict[Path, int] = {}
_sharing = threading.Lock()


@contextlib.contextmanager
def hold(path: Path, activity: str, announce: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock while the block runs.

    Args:
        path: the file that stands for the lock.
        activity: what its holder does, like `starts the engine`.
        announce: is told whom a wait is for, once it takes longer than `PATIENCE`.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415 - start-up time

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        _announce(path, activity, announce)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def share(path: Path, activity: str, announce: Callable[[str], None]) -> None:
    """Share a lock with other processes until this one ends; nobody can hold it alone meanwhile.

    Args:
        path: the file that stands for the lock.
        activity: what whoever holds it alone does.
        announce: is told whom a wait is for.
    """
    with _sharing:
        if path not in _shared:
            path.parent.mkdir(parents=True, exist_ok=True)
            _shared[path] = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        if not _wait(_shared[path], fcntl.LOCK_SH, PATIENCE):
            _announce(path, activity, announce)
            fcntl.flock(_shared[path], fcntl.LOCK_SH)


@contextlib.contextmanager
def alone(
    path: Path, seconds: float, activity: str, announce: Callable[[str], None]
) -> Iterator[bool]:
    """Hold a shared lock alone while the block runs; yield whether that could be had in time.

    Args:
        path: the file that stands for the lock, which this process shares.
        seconds: how long to wait until no other process shares it.
        activity: what processes do that share it.
        announce: is told whom a wait is for.
    """
    share(path, activity, announce)
    descriptor = _shared[path]
    try:
        free = _wait(descriptor, fcntl.LOCK_EX, PATIENCE)
        if not free:
            _announce(path, activity, announce)
            free = _wait(descriptor, fcntl.LOCK_EX, seconds)
        yield free
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_SH)


def _wait(descriptor: int, operation: int, seconds: float) -> bool:
    """Return whether a lock could be had within some seconds."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)


def _announce(path: Path, activity: str, announce: Callable[[str], None]) -> None:
    pid = holder(path)
    process = f"process {pid}" if pid else "another process"
    announce(f"waiting for {process}, which {activity}")


def holder(path: Path) -> int | None:
    """Return a process that holds a lock, None if nobody does or the kernel does not say.

    Of several, it is another one than this.

    A line of /proc/locks is `1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE 0 EOF`
    (proc_locks(5)); the process of another namespace has no id here.
    """
    try:
        inode = str(path.stat().st_ino)
        lines = _HELD.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    holders = []
    for line in lines:
        fields = line.split()
        if fields[1:2] == ["FLOCK"] and fields[5].rpartition(":")[2] == inode:
            holders.append(int(fields[4]))
    others = [pid for pid in holders if pid != os.getpid()]
    return next((pid for pid in (others or holders) if pid > 0), None)
