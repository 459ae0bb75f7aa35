"""What a build that says nothing for a while is said to wait for."""

from __future__ import annotations

import json

import pytest

from build_tasks.buildx import attempt
from build_tasks.buildx.attempt import _Silence
from build_tasks.history.recorder import Recorder


def test_what_runs_is_named_but_not_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "QUIET", 0.0)
    recorder = Recorder()
    vertexes = [
        {"digest": f"sha256:{n}", "name": f"[{n}/6] RUN {n}", "started": "2026-01-01T00:00:00Z"}
        for n in range(2, 7)
    ]
    told: list[str] = []
    silence = _Silence(recorder, "default", told.append)
    silence.look()
    recorder.feed(json.dumps({"vertexes": vertexes}).encode() + b"\n")
    silence.end()
    silence.look()
    monkeypatch.setattr(attempt, "QUIET", 60.0)
    silence.end()
    silence.look()
    assert told == [
        "nothing new for 0 s, waiting for the builder default",
        "nothing new for 0 s, running: [2/6] RUN 2; [3/6] RUN 3; [4/6] RUN 4 and 2 more",
    ]
