"""Listeners for tests of the driver."""

# ruff: noqa: ARG002 - a listener takes what it is told

from __future__ import annotations

from build_tasks.buildx.attempt import Listener
from build_tasks.history.events import Line
from build_tasks.history.recorder import Recorder
from build_tasks.history.vertex import StepEvent
from build_tasks.model.build import BuildSpec


class Heard(Listener):
    """Keeps what a driver tells."""

    def __init__(self, *, takes_events: bool = True) -> None:
        self.takes_events = takes_events
        self.commands: list[str] = []
        self.lines: list[Line] = []
        self.events: list[StepEvent] = []
        self.messages: list[str] = []

    def start(self, spec: BuildSpec, command: str, recorder: Recorder) -> None:
        self.commands.append(command)

    def line(self, name: str, line: Line) -> None:
        self.lines.append(line)

    def step(self, name: str, event: StepEvent) -> None:
        self.events.append(event)

    def say(self, name: str, text: str) -> None:
        self.messages.append(text)
