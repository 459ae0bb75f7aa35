"""A job without output of its own is announced."""

from __future__ import annotations

import re
import threading
import time

import pytest

from build_tasks.process import heartbeat
from build_tasks.process.heartbeat import Phase


def test_the_phase_of_a_job_is_announced_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.01)
    phase = Phase("reading")
    lines: list[str] = []
    writes = threading.Event()

    def announce(line: str) -> None:
        lines.append(line)
        if "writing" in line:
            writes.set()

    with heartbeat.heartbeat("x", phase, announce):
        phase.name = "writing"
        assert writes.wait(10)
    assert re.fullmatch(r"x: writing, \d+ s so far", lines[-1])
    count = len(lines)
    time.sleep(0.05)
    assert len(lines) == count
