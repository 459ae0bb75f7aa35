"""Handle ^C from the first import on, without a traceback."""

from __future__ import annotations

import os
import signal
from types import FrameType


def end_on_interrupt() -> None:
    """Exit at once on ^C, until `process.interruptible` installs its own handler.

    An exception in the middle of an import would be a traceback. Foreign handlers and an ignored
    signal stay as they are.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_on_interrupt() -> None:
    """Raise KeyboardInterrupt on ^C again: the front end may run programs itself now."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(signum: int, _frame: FrameType | None) -> None:
    os._exit(128 + signum)
