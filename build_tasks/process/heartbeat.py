"""Progress lines while something silent runs."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

#: Seconds between two lines.
INTERVAL = 10.0


class Phase:
    """What a long job does at the moment.

    Args:
        name: what it does.
    """

    def __init__(self, name: str) -> None:
        self.name = name


@contextlib.contextmanager
def heartbeat(subject: str, phase: Phase, announce: Callable[[str], None]) -> Iterator[None]:
    """Announce every few seconds, while the block runs, what it does and for how long.

    Args:
        subject: what is made.
        phase: what is done at the moment; the block changes it.
        announce: is told a line.
    """
    ended = threading.Event()
    began = time.monotonic()

    def beat() -> None:
        while not ended.wait(INTERVAL):
            announce(f"{subject}: {phase.name}, {time.monotonic() - began:.0f} s so far")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(INTERVAL)
