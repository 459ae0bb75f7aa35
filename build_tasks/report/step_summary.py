"""Markdown for GitHub's step summary.

The timeline is made of block characters: GitHub's own diagrams are limited to 50,000 characters,
cannot show cached steps apart from those that ran, and are pictures that cannot be searched.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from build_tasks.errors import DiskError
from build_tasks.history.record import BuildRecord, Step, StepKind
from build_tasks.report import documents, facts
from build_tasks.text import escaping

VARIABLE = "GITHUB_STEP_SUMMARY"
#: Bytes that one step may write (GitHub: 1 MiB), less a reserve.
LIMIT = 1024 * 1024 - 4096
#: Characters of a timeline, of an instruction, and lines of a failed step's log.
BLOCKS = 40
WIDTH = 120
LOG = 30
_WAITING, _MOVING = "·", "░"
_SIGNS = {"ran": "█", "cached": "▒", "failed": "✖"}
#: Ends each part of the template.
_END = "\f\n"
_CUT = "\n\n_The rest is cut: GitHub takes 1 MiB for each step._\n"


def markdown(records: Sequence[BuildRecord], limit: int = LIMIT) -> str:
    """Return records as Markdown: a table with a timeline, failures with their logs, details.

    What does not fit in `limit` bytes is left out from the end.
    """
    span = facts.span(records)
    begins = zip(records, facts.offsets(records), strict=True)
    document = documents.render(
        "step_summary.md",
        escaping.markdown,
        tally=facts.tally(records),
        span=span,
        builds=[(record, timeline(record, begin, span)) for record, begin in begins],
        log_of=_log,
        WIDTH=WIDTH,
    )
    page = ""
    for part in document.split(_END):
        if len((page + part).encode()) + len(_CUT) > limit:
            return page + _CUT if len(page) + len(_CUT) <= limit else ""
        page += part
    return page


def publish(records: Sequence[BuildRecord]) -> bool:
    """Append records to GitHub's step summary; return False where there is none.

    Raises:
        DiskError: the summary cannot be written.
    """
    name = os.environ.get(VARIABLE)
    if not name or not records:
        return False
    file = Path(name)
    try:
        written = file.stat().st_size if file.exists() else 0
        with file.open("a", encoding="utf-8") as output:
            output.write(markdown(records, limit=LIMIT - written))
    except OSError as error:
        raise DiskError(f"{VARIABLE}: {name} cannot be written: {error.strerror}") from None
    return True


def timeline(record: BuildRecord, offset: float, span: float, blocks: int = BLOCKS) -> str:
    """Return what a build did over time, in so many blocks for `span` seconds.

    The build began `offset` seconds after the beginning of the span.
    """
    signs = [_WAITING] * blocks
    scale = blocks / max(span, 0.001)

    def priority(step: Step) -> tuple[bool, bool, bool]:
        return bool(step.error), step.ran, step.kind is StepKind.STEP

    for step in sorted(record.steps, key=priority):
        for begin, end in step.intervals:
            first, last = int((offset + begin) * scale), int((offset + end) * scale)
            for position in range(first, min(last, blocks - 1) + 1):
                signs[position] = _SIGNS.get(facts.state(step), _MOVING)
    return "".join(signs)


def _log(record: BuildRecord) -> str:
    """Return the log of the step that failed, in a fence that it cannot close."""
    step = facts.failed_step(record)
    log = "\n".join(facts.log(step, LOG)) if step else ""
    longest = max(map(len, re.findall(r"`+", log)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{log}\n{fence}\n\n" if log else ""
