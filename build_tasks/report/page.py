"""One HTML page: the timeline of all builds, with filters, and the details of each.

The page is one file. It loads nothing, and its content security policy allows only its own script,
so that nothing in a log can run.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from build_tasks.history.record import BuildRecord
from build_tasks.report import documents, facts, timeline

#: Lines of a failed step's log.
LOG = 40
#: Instructions that are listed by time.
HOTSPOTS = 6


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
        timeline=timeline,
        LONG=timeline.LONG,
        LOG=LOG,
        builds=[*zip(records, facts.offsets(records), strict=True)],
        tally=facts.tally(records),
        title=_title(records),
        clock=timeline.axis(facts.span(records)),
        zero=timeline.axis(max((record.seconds for record in records), default=0.0)),
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
