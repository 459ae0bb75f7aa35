"""The timeline of a page: bars in lanes, an axis with round times, what became of each step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from build_tasks.history.record import BuildRecord, Step, StepKind
from build_tasks.report import facts
from build_tasks.text import escaping, formatting

#: Characters of a name or an error that are told.
LONG = 300
#: Seconds between two lines of the time axis; the first that makes few enough is taken.
_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_MOST_TICKS = 10
#: Lanes in which what ran at the same time is shown apart.
_LANES = 4


@dataclass(frozen=True)
class Mark:
    """A bar of the timeline.

    Args:
        state: ran, cached, moved or failed.
        begin: seconds from the beginning of the build.
        took: seconds.
        lane: which of the build's lanes it is in.
        label: what stands in it, if there is room.
        about: what is told about it, a line each.
    """

    state: str
    begin: float
    took: float
    lane: int
    label: str
    about: str


@dataclass(frozen=True)
class Axis:
    """A time axis: its length and the distance of its lines, in seconds."""

    span: float
    step: float

    @property
    def ticks(self) -> list[float]:
        """The times at which a line stands."""
        return [self.step * number for number in range(int(self.span / self.step) + 1)]


def axis(span: float) -> Axis:
    """Return a time axis of so many seconds, with lines at round times."""
    length = max(span, 1.0)
    fitting = (step for step in _TICKS if length / step <= _MOST_TICKS)
    return Axis(length, next(fitting, math.ceil(length / _MOST_TICKS)))


def state(step: Step) -> str:
    """Return what became of a step, in the page's word."""
    if step.error and step.kind in {StepKind.IMPORT, StepKind.EXPORT}:
        return "lost"
    if step.error:
        return "failed"
    if not step.started:
        return "unreached"
    if step.kind is not StepKind.STEP:
        return "moved"
    return "cached" if step.cached else "ran"


def marks(record: BuildRecord) -> tuple[tuple[Mark, ...], int]:
    """Return the bars of a build, each in the first lane that is free by then."""
    bars = sorted(
        ((begin, end, step) for step in record.steps for begin, end in step.intervals),
        key=lambda bar: (bar[0], bar[1]),
    )
    free: list[float] = []
    made = []
    for begin, end, step in bars:
        lane = next((at for at, until in enumerate(free) if until <= begin), len(free))
        if lane == len(free) and lane < _LANES:
            free.append(end)
        lane = min(lane, _LANES - 1)
        free[lane] = max(end, free[lane])
        made.append(
            Mark(state(step), begin, end - begin, lane, facts.place(step) or step.kind, about(step))
        )
    return tuple(made), max(len(free), 1)


def about(step: Step) -> str:
    """Return what is told about a step: its name, then what became of it, then its error."""
    lines = [facts.named(step)[:LONG]]
    words = {"unreached": "not reached", "moved": "took", "lost": "failed, and the build went on"}
    said = words.get(state(step), state(step))
    when = f" {formatting.duration(step.seconds)}" if step.seconds else ""
    at = f", at {formatting.duration(step.intervals[0][0])}" if step.intervals else ""
    size = f", {formatting.size(step.bytes)}" if step.bytes else ""
    lines.append(f"{said}{when}{at}{size}")
    if step.error:
        lines.append(escaping.plain(step.error)[:LONG])
    return "\n".join(lines)
