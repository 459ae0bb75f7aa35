"""What a front end does before it imports anything else: be stopped without a traceback."""

from __future__ import annotations

import os
import signal
from types import FrameType


def end_on_interrupt() -> None:
    """End at once on ^C, until `process.interruptible` knows what to end first.

    Nothing has been started yet, and an exception in the middle of an import would be a traceback.
    A handler that somebody else has installed, and a signal that is ignored, stay as they are.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_on_interrupt() -> None:
    """Raise KeyboardInterrupt on ^C again: from here on the front end may run programs itself."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(signum: int, _frame: FrameType | None) -> None:
    os._exit(128 + signum)
