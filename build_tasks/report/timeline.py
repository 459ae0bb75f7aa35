"""The timeline of the report page: bars in lanes, and a time axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

from build_tasks.history.record import BuildRecord, Step
from build_tasks.report import facts
from build_tasks.text.formatting import duration, size

#: Characters of a name or an error that are shown.
LONG = 300
#: Seconds between two lines of the time axis; the first that makes few enough lines is taken.
_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_MAX_TICKS = 10
#: Lanes for what runs at the same time.
_MAX_LANES = 4


@dataclass(frozen=True)
class Mark:
    """A bar of the timeline; times are seconds after the beginning of the build."""

    state: str
    begin: float
    seconds: float
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
        """The times of the lines."""
        return [self.step * number for number in range(int(self.span / self.step) + 1)]


def axis(span: float) -> Axis:
    """Return a time axis with lines at round times."""
    length = max(span, 1.0)
    fitting = (step for step in _TICKS if length / step <= _MAX_TICKS)
    return Axis(length, next(fitting, math.ceil(length / _MAX_TICKS)))


def marks(record: BuildRecord) -> tuple[tuple[Mark, ...], int]:
    """Return the bars of a build and the number of lanes; a bar takes the first free lane."""
    intervals = [(*interval, step) for step in record.steps for interval in step.intervals]
    ends: list[float] = []
    bars = []
    for begin, end, step in sorted(intervals, key=lambda bar: bar[:2]):
        free = (lane for lane, until in enumerate(ends) if until <= begin)
        lane = next(free, min(len(ends), _MAX_LANES - 1))
        if lane == len(ends):
            ends.append(end)
        ends[lane] = max(end, ends[lane])
        label = facts.instruction(step)[:LONG]
        bars.append(Mark(facts.state(step), begin, end - begin, lane, label, describe(step)))
    return tuple(bars), max(len(ends), 1)


def describe(step: Step) -> str:
    """Return the text of a step's tooltip: its name, its state and times, its error."""
    took = f" {duration(step.seconds)}" if step.seconds else ""
    began = f", at {duration(step.intervals[0][0])}" if step.intervals else ""
    moved = f", {size(step.bytes)}" if step.bytes else ""
    text = f"{facts.named(step)[:LONG]}\n{facts.state_text(step)}{took}{began}{moved}"
    if step.error and facts.state(step) != "absent":
        text += f"\n{step.error[:LONG]}"
    return text
