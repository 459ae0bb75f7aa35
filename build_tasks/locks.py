"""Locks between processes, which say whom they wait for.

The kernel frees a lock when its holder ends, however that ends: a lock is never left behind.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

#: Seconds of waiting before it is announced.
PATIENCE = 0.5
_HELD = Path("/proc/locks")


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
        pid = holder(path)
        process = f"process {pid}" if pid else "another process"
        announce(f"waiting for {process}, which {activity}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def holder(path: Path) -> int | None:
    """Return the process that holds a lock, None if nobody does or the kernel does not say.

    A line of /proc/locks is `1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE 0 EOF`
    (proc_locks(5)); the process of another namespace has no id here.
    """
    try:
        inode = str(path.stat().st_ino)
        lines = _HELD.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        if fields[1:2] == ["FLOCK"] and fields[5].rpartition(":")[2] == inode:
            pid = int(fields[4])
            return pid if pid > 0 else None
    return None
