"""Displays of lines: for pipes and logs, for programs, and with little of our own."""

from __future__ import annotations

from build_tasks import console
from build_tasks.history import vertex_names
from build_tasks.history.events import Line, redacted
from build_tasks.history.record import StepKind
from build_tasks.history.vertex import CANCELED, Moment, StepEvent
from build_tasks.progress.base import Display
from build_tasks.text import escaping
from build_tasks.text.formatting import shorten
from build_tasks.text.redaction import redact

_CACHES = frozenset({StepKind.IMPORT, StepKind.EXPORT})
_SHOWN = _CACHES | {StepKind.STEP, StepKind.BASE}


class Lines(Display):
    """Prints a line for each step of several builds, with the build's name in front."""

    shows_outcome = True

    def step(self, name: str, event: StepEvent) -> None:
        """Print what starts to run, and which cache cannot be used."""
        super().step(name, event)
        step = event.kind is StepKind.STEP or event.name.startswith("exporting ")
        line = ""
        if event.moment is Moment.STARTED and step:
            line = vertex_names.parse(event.name).title
        elif event.moment is Moment.FAILED and event.kind in _CACHES:
            line = f"{event.name}: {event.text.rpartition(': ')[2]}"
        if line and not line.endswith(CANCELED):
            console.message(shorten(f"{name}: {line}", self._width))


class StepLines(Display):
    """Prints the steps of a single build, numbered as in BuildKit's plain display."""

    def step(self, name: str, event: StepEvent) -> None:
        """Print a change of a step, a base image, a cache or an export."""
        super().step(name, event)
        for line in _changes(event):
            console.message(shorten(line, self._width))

    def line(self, name: str, line: Line) -> None:
        """Print a message of buildx."""
        super().line(name, line)
        if line.events is None:
            # An excerpt of a Dockerfile keeps its indentation if it fits.
            text = redact(line.text)
            console.message(text if len(text) <= self._width else shorten(text, self._width))


def _changes(event: StepEvent) -> list[str]:
    """Return the lines for a change of a vertex; none if it is not shown."""
    if event.moment is Moment.WARNING:
        return [f"WARNING: {event.text}"]
    if event.kind not in _SHOWN:
        return []
    name = vertex_names.parse(event.name).title
    base = event.kind is StepKind.BASE
    error = event.text.rpartition(" did not complete successfully: ")[2]
    lines = {
        Moment.STARTED: [] if base else [name],
        Moment.CACHED: [f"CACHED {name}"],
        Moment.DONE: [f"DONE {event.seconds:.1f}s{f' {name}' if base else ''}"],
        Moment.FAILED: [*(f"| {line}" for line in event.log), f"ERROR: {name}: {error}"],
    }
    return [f"#{event.number} {line}" for line in lines.get(event.moment, ())]


class Events(Display):
    """Prints BuildKit's events as they are, for other programs, and our own messages."""

    shows_outcome = True

    def line(self, name: str, line: Line) -> None:
        """Print a line of buildx."""
        console.write(f"{escaping.terminal(redacted(line))}\n")
        super().line(name, line)


class BuildKitDisplay(Display):
    """Leaves stderr to BuildKit's own display, and prints our messages before and after it."""

    takes_events = False


class Quiet(Display):
    """Prints warnings, and the result of a single build."""

    def show(self, name: str, text: str) -> None:
        """Print a warning."""
        if text.startswith("warning: "):
            super().show(name, text)

    def result(self, name: str, text: str) -> None:
        """Print the result of a single build; several have a table at the end."""
        super().result(name, text)
        if len(self.rows) == 1:
            super().show(name, text)
