"""One HTML page: the timeline of all builds, with filters, and the details of each.

The page is one file. It loads nothing, and its content security policy allows only its own script,
so that nothing in a log can run.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from build_tasks.history.record import BuildRecord, Step
from build_tasks.report import documents, facts
from build_tasks.text.formatting import duration, size

#: Lines of a failed step's log.
LOG = 40
#: Instructions that are listed by time.
HOTSPOTS = 6
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


def html(records: Sequence[BuildRecord]) -> str:
    """Return records as one self-contained page."""
    # These are files of this package, without anything from a build.
    style, script = (
        Markup((documents.FOLDER / name).read_text(encoding="utf-8"))  # noqa: S704
        for name in ("page.css", "page.js")
    )
    counts = [facts.counted(record) for record in records]
    return documents.render(
        "page.html",
        marks=marks,
        describe=describe,
        LONG=LONG,
        LOG=LOG,
        builds=[*zip(records, facts.offsets(records), strict=True)],
        tally=facts.tally(records),
        title=_title(records),
        clock=axis(facts.span(records)),
        zero=axis(max((record.seconds for record in records), default=0.0)),
        work=sum(record.seconds for record in records),
        ran=sum(ran for ran, _ in counts),
        cached=sum(cached for _, cached in counts),
        moved=sum(map(facts.transferred, records)),
        missing=_missing(records),
        problems=sum(len(facts.cache_problems(record)) for record in records),
        hotspots=facts.hotspots(records, HOTSPOTS),
        filters=_filters(records),
        style=style,
        script=script,
        allowed=base64.b64encode(hashlib.sha256(f"\n{script}".encode()).digest()).decode(),
    )


def _missing(records: Sequence[BuildRecord]) -> Counter[str]:
    """Return how often there is no image, by outcome: failed or cancelled."""
    outcomes = (record.outcome for record in records)
    return Counter(outcome for outcome in outcomes if outcome not in {"built", "skipped"})


def _title(records: Sequence[BuildRecord]) -> str:
    """Return what all builds have in common: run, branch, commit and builder."""
    common = (
        {record.run for record in records},
        {record.branch for record in records},
        {record.commit[:12] for record in records},
        {f"builder {record.builder}" for record in records if record.builder},
    )
    texts = [text for (text,) in (values for values in common if len(values) == 1) if text]
    return " · ".join(texts) or facts.tally(records)


def _filters(records: Sequence[BuildRecord]) -> list[tuple[str, str, list[str]]]:
    """Return the filters that leave a choice: name, title, values."""
    values = (
        ("kind", "Image", {record.kind for record in records}),
        ("python", "Python", {record.python for record in records}),
        ("platform", "Platform", {name for record in records for name in record.platforms}),
        ("outcome", "Outcome", {record.outcome for record in records}),
    )
    return [
        (name, title, sorted(choices - {""}, key=_version))
        for name, title, choices in values
        if len(choices - {""}) > 1
    ]


def _version(text: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdecimal() else 0, part) for part in text.split(".")]


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
