"""One page for a browser: the timeline of all builds, with filters, and the details of each.

All of it stands in one file: the page asks no network for anything, and its policy forbids that it
runs any script but its own, whatever stands in a log.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from build_tasks import figures
from build_tasks.record import BuildRecord, Step, StepKind
from build_tasks.report import facts

#: Lines of the log of a step that failed.
LOG = 40
#: Instructions that are named as the dearest.
HOTSPOTS = 6
#: Seconds between two lines of the time axis; the first that makes few enough is taken.
_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_MOST_TICKS = 10
#: Lanes in which what ran at the same time is shown apart.
_LANES = 4
_LONG = 300


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
class Row:
    """A build as the page shows it."""

    record: BuildRecord
    began: float
    outcome: str
    cells: tuple[tuple[str, str], ...]
    marks: tuple[Mark, ...]
    lanes: int
    failed: Step | None
    log: tuple[str, ...]
    lost: tuple[str, ...]
    ran: int
    cached: int


@dataclass(frozen=True)
class Axis:
    """A time axis: its length and the distance of its lines, in seconds."""

    span: float
    step: float

    @property
    def ticks(self) -> list[float]:
        """The times at which a line stands."""
        return [self.step * number for number in range(int(self.span / self.step) + 1)]


def html(records: Sequence[BuildRecord]) -> str:
    """Return builds as one self-contained page."""
    import jinja2  # noqa: PLC0415 - start-up time
    from markupsafe import Markup  # noqa: PLC0415 - start-up time

    here = Path(__file__).parent
    files = jinja2.FileSystemLoader(here)
    environment = jinja2.Environment(
        loader=files,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "duration": facts.duration,
        "size": figures.size,
        "short": facts.short,
        "plain": lambda value: f"{value:.3f}".rstrip("0").rstrip("."),
    }
    environment.globals |= {"facts": facts, "state": state, "LONG": _LONG}
    script = (here / "page.js").read_text(encoding="utf-8")
    rows = [_row(one, at) for one, at in zip(records, facts.offsets(records), strict=True)]
    allowed = base64.b64encode(hashlib.sha256(f"\n{script}".encode()).digest()).decode()
    made = environment.get_template("page.html").render(
        rows=rows,
        tally=facts.tally(records),
        title=_title(records),
        clock=axis(facts.span(records)),
        zero=axis(max((one.seconds for one in records), default=0.0)),
        work=sum(one.seconds for one in records),
        ran=sum(row.ran for row in rows),
        cached=sum(row.cached for row in rows),
        moved=sum(facts.transferred(one) for one in records),
        failed=sum(one.outcome == "failed" for one in records),
        lost=sum(len(row.lost) for row in rows),
        hotspots=facts.hotspots(records, HOTSPOTS),
        filters=_filters(records),
        # Ours, from the package: nothing of a build stands in them.
        style=Markup((here / "page.css").read_text(encoding="utf-8")),  # noqa: S704
        script=Markup(script),  # noqa: S704
        allowed=allowed,
    )
    return facts.clean(made)


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


def _title(records: Sequence[BuildRecord]) -> str:
    names = {record.run for record in records if record.run}
    return names.pop() if len(names) == 1 else facts.tally(records)


def _filters(records: Sequence[BuildRecord]) -> list[tuple[str, str, list[str]]]:
    """Return what can be chosen, where there is a choice: a name, its title, the values."""
    found = (
        ("kind", "Image", {one.kind for one in records}),
        ("python", "Python", {one.python for one in records}),
        ("platform", "Platform", {where for one in records for where in one.platforms}),
        ("outcome", "Outcome", {one.outcome for one in records}),
    )
    return [
        (name, title, sorted(values - {""}, key=_version))
        for name, title, values in found
        if len(values - {""}) > 1
    ]


def _version(text: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdecimal() else 0, part) for part in text.split(".")]


def _row(record: BuildRecord, began: float) -> Row:
    ran, cached = facts.counted(record)
    failed = facts.failed_step(record)
    marks, lanes = _marks(record)
    return Row(
        record=record,
        began=began,
        outcome=facts.outcome(record),
        cells=tuple((state(step), _about(step)) for step in facts.steps(record)),
        marks=marks,
        lanes=lanes,
        failed=failed,
        log=tuple(facts.log(failed, LOG)) if failed else (),
        lost=tuple(facts.lost(record)),
        ran=ran,
        cached=cached,
    )


def _marks(record: BuildRecord) -> tuple[tuple[Mark, ...], int]:
    """Return the bars of a build, each in the first lane that is free by then."""
    bars = sorted(
        ((begin, end, step) for step in record.steps for begin, end in step.intervals),
        key=lambda bar: (bar[0], bar[1]),
    )
    free: list[float] = []
    marks = []
    for begin, end, step in bars:
        lane = next((at for at, until in enumerate(free) if until <= begin), len(free))
        if lane == len(free) and lane < _LANES:
            free.append(end)
        lane = min(lane, _LANES - 1)
        free[lane] = max(end, free[lane])
        marks.append(
            Mark(
                state(step), begin, end - begin, lane, facts.place(step) or step.kind, _about(step)
            )
        )
    return tuple(marks), max(len(free), 1)


def _about(step: Step) -> str:
    """Return what is told about a step: its name, then what became of it, then its error."""
    lines = [facts.named(step)[:_LONG]]
    words = {"unreached": "not reached", "moved": "took", "lost": "failed, and the build went on"}
    said = words.get(state(step), state(step))
    when = f" {facts.duration(step.seconds)}" if step.seconds else ""
    at = f", at {facts.duration(step.intervals[0][0])}" if step.intervals else ""
    size = f", {figures.size(step.bytes)}" if step.bytes else ""
    lines.append(f"{said}{when}{at}{size}")
    if step.error:
        lines.append(facts.clean(step.error)[:_LONG])
    return "\n".join(lines)
