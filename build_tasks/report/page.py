"""One page for a browser: the timeline of all builds, with filters, and the details of each.

All of it stands in one file: the page asks no network for anything, and its policy forbids that it
runs any script but its own, whatever stands in a log.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from build_tasks.history.record import BuildRecord, Step
from build_tasks.report import facts, timeline
from build_tasks.text import escaping, formatting

#: Lines of the log of a step that failed.
LOG = 40
#: Instructions that are named as the dearest.
HOTSPOTS = 6


@dataclass(frozen=True)
class Row:
    """A build as the page shows it."""

    record: BuildRecord
    began: float
    outcome: str
    cells: tuple[tuple[str, str], ...]
    marks: tuple[timeline.Mark, ...]
    lanes: int
    failed: Step | None
    log: tuple[str, ...]
    lost: tuple[str, ...]
    ran: int
    cached: int


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
        "duration": formatting.duration,
        "size": formatting.size,
        "short": facts.short,
        "plain": lambda value: f"{value:.3f}".rstrip("0").rstrip("."),
    }
    environment.globals |= {"facts": facts, "state": timeline.state, "LONG": timeline.LONG}
    script = (here / "page.js").read_text(encoding="utf-8")
    rows = [_row(one, at) for one, at in zip(records, facts.offsets(records), strict=True)]
    allowed = base64.b64encode(hashlib.sha256(f"\n{script}".encode()).digest()).decode()
    made = environment.get_template("page.html").render(
        rows=rows,
        tally=facts.tally(records),
        title=_title(records),
        clock=timeline.axis(facts.span(records)),
        zero=timeline.axis(max((one.seconds for one in records), default=0.0)),
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
    return escaping.plain(made)


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
    marks, lanes = timeline.marks(record)
    return Row(
        record=record,
        began=began,
        outcome=facts.outcome(record),
        cells=tuple((timeline.state(step), timeline.about(step)) for step in facts.steps(record)),
        marks=marks,
        lanes=lanes,
        failed=failed,
        log=tuple(facts.log(failed, LOG)) if failed else (),
        lost=tuple(facts.lost(record)),
        ran=ran,
        cached=cached,
    )
