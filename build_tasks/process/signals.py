"""Turn signals into `Interrupted`. Only the main thread of a process receives them."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from build_tasks.errors import Interrupted

_STOPPED_BY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Seconds. Python runs a signal's handler between its own instructions. So one that comes just
#: before a system call which waits is only handled after it: a timer interrupts the wait.
_PERIOD = 1.0


class _Handler:
    """Raises Interrupted, or keeps the signal while it is deferred."""

    def __init__(self) -> None:
        self.deferring = False
        self.pending: int | None = None

    def __call__(self, signum: int, _frame: FrameType | None) -> None:
        if not self.deferring:
            raise Interrupted(signum)
        self.pending = signum


_HANDLER = _Handler()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn ^C, SIGTERM and SIGHUP into `Interrupted` in the block, in the main thread only."""
    if not in_main_thread():
        yield
        return
    before = {signum: signal.signal(signum, _HANDLER) for signum in _STOPPED_BY}
    before[signal.SIGALRM] = signal.signal(signal.SIGALRM, lambda *_: None)
    timer = signal.setitimer(signal.ITIMER_REAL, _PERIOD, _PERIOD)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Defer signals until the block ends, so that no child or thread is lost while it starts."""
    if not in_main_thread():
        yield
        return
    _HANDLER.deferring = True
    try:
        yield
    finally:
        _HANDLER.deferring = False
        signum, _HANDLER.pending = _HANDLER.pending, None
    if signum is not None:
        raise Interrupted(signum)


def in_main_thread() -> bool:
    """Return whether this is the thread that receives signals."""
    return threading.current_thread() is threading.main_thread()
