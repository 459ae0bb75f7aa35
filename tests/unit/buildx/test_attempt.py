"""What a build that says nothing for a while is said to wait for."""

from __future__ import annotations

import json

import pytest
import specs
from listening import Heard

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
    heard = Heard()
    silence = _Silence(recorder, specs.make(), heard)
    silence.check()
    recorder.feed(json.dumps({"vertexes": vertexes}).encode() + b"\n")
    silence.end()
    silence.check()
    monkeypatch.setattr(attempt, "QUIET", 60.0)
    silence.end()
    silence.check()
    assert heard.messages == [
        "no output for 0 s, waiting for the builder default",
        "no output for 0 s, running: 2; 3; 4 and 2 more",
    ]
