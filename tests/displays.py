"""Builds for the displays, as the driver follows them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import specs

from build_tasks.errors import NetworkError, StepError
from build_tasks.history.recorder import Recorder
from build_tasks.model.build import Output
from build_tasks.model.matrix import Platform
from build_tasks.progress.base import Display

BEGAN = "2026-01-01T00:00:00.1Z"
ENDED = "2026-01-01T00:00:02.35Z"
CI = "ci-3.9-amd64"
#: What is shown as its build starts.
SUMMARY = "building and pushing r/i:1 for linux/amd64"


def vertex(name: str, **fields: Any) -> dict[str, Any]:
    return {"vertexes": [{"digest": f"sha256:{name}", "name": name, **fields}]}


def output(name: str, text: str) -> dict[str, Any]:
    data = base64.b64encode(text.encode()).decode()
    return {"logs": [{"vertex": f"sha256:{name}", "data": data}]}


class Attempt:
    """An attempt of a build, as the driver follows it."""

    def __init__(self, display: Display, name: str) -> None:
        self.recorder = Recorder(
            on_event=lambda event: display.step(name, event),
            on_line=lambda line: display.line(name, line),
        )
        _, python, architecture = name.split("-")
        build = specs.make(
            kind=Output.PUSH,
            python=python,
            platform=Platform(f"linux/{architecture}"),
            tags=("r/i:1",),
            metadata=Path("/m.json"),
        )
        assert build.identity == name
        display.start(build, "docker-buildx build .", self.recorder)

    def write(self, *lines: dict[str, Any] | str) -> None:
        for line in lines:
            text = line if isinstance(line, str) else json.dumps(line)
            self.recorder.feed(f"{text}\n".encode())


def begin(display: Display, *names: str) -> Attempt:
    """Start the first of some builds."""
    display.expect(names)
    display.began(names[0])
    return Attempt(display, names[0])


def play(display: Display) -> None:
    """Let two builds run: one is retried and fails, one is skipped."""
    attempt = begin(display, CI, "ci-3.11-amd64")
    with display:
        attempt.write(vertex("[2/3] RUN a", started=BEGAN), "{no event")
        display.again(CI, NetworkError(f"{CI}: cut"), 1.25)
        display.began(CI)
        Attempt(display, CI)
        display.say(CI, "warning: x")
        display.ended(CI, "failed", StepError(f"{CI}: no (step 'a')"), 3.0)
        display.ended("ci-3.11-amd64", "skipped", None, 0.0)
