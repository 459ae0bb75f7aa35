"""Report every few seconds what a job without output of its own is doing."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from build_tasks.process.commands import Announce

#: Seconds between two announcements.
INTERVAL = 10.0


@dataclass
class Phase:
    """What a job does at the moment; the job changes it."""

    name: str


@contextlib.contextmanager
def heartbeat(subject: str, phase: Phase, announce: Announce) -> Iterator[None]:
    """Announce, while the block runs, the subject's phase and the seconds so far."""
    done = threading.Event()
    began = time.monotonic()

    def beat() -> None:
        while not done.wait(INTERVAL):
            announce(f"{subject}: {phase.name}, {time.monotonic() - began:.0f} s so far")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(INTERVAL)
