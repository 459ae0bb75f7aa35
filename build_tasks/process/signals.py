"""From signals to `Interrupted`: only the main thread of a process hears of them."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from build_tasks.errors import Interrupted

_STOPPED_BY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: An entry for each thing that the main thread is starting, and the signals that came meanwhile.
_starting: list[None] = []
_waiting: list[int] = []


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn ^C, SIGTERM and SIGHUP into `Interrupted` while the block runs.

    Only the main thread of a process can receive signals; elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, _frame: FrameType | None) -> None:
        if _starting:
            _waiting.append(signum)
        else:
            raise Interrupted(signum)

    before = {signum: signal.signal(signum, stop) for signum in _STOPPED_BY}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextlib.contextmanager
def whole() -> Iterator[None]:
    """Let signals wait while a child or a thread is started: it would be nobody's to end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _starting.append(None)
    try:
        yield
    finally:
        _starting.pop()
        came = [*_waiting]
        _waiting.clear()
    if came:
        raise Interrupted(came[0])
