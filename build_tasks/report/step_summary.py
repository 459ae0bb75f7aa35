"""Markdown for GitHub's step summary.

The timeline is made of block characters: GitHub's own diagrams are limited to 50,000 characters,
cannot show cached steps apart from those that ran, and are pictures that cannot be searched.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from build_tasks.errors import DiskError
from build_tasks.history.record import BuildRecord, Step, StepKind
from build_tasks.report import facts
from build_tasks.text.escaping import markdown as _text
from build_tasks.text.formatting import duration, size

VARIABLE = "GITHUB_STEP_SUMMARY"
#: Bytes that one step may write (GitHub: 1 MiB), less a reserve.
LIMIT = 1024 * 1024 - 4096
#: Characters of a timeline, of an instruction, and lines of a failed step's log.
BLOCKS = 40
WIDTH = 120
LOG = 30
_WAITING, _MOVING = "·", "░"
_SIGNS = {"ran": "█", "cached": "▒", "failed": "✖"}
_LEGEND = "`█` ran, `▒` cached, `░` moved data, `✖` failed, `·` waited"
_HEAD = (
    "| | build | outcome | time | ran/cached | tries | timeline | digest |\n"
    "| --- | --- | --- | ---: | ---: | ---: | --- | --- |\n"
)
_CUT = "\n\n_The rest is cut: GitHub takes 1 MiB for each step._\n"


def markdown(records: Sequence[BuildRecord], limit: int = LIMIT) -> str:
    """Return records as Markdown: a table with a timeline, failures with their logs, details.

    Args:
        records: the builds.
        limit: bytes; what does not fit is left out from the end.
    """
    page = ""
    for part in _parts(records):
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


def _parts(records: Sequence[BuildRecord]) -> Iterator[str]:
    """Yield the page in parts; it may end after each of them."""
    span = facts.span(records)
    yield f"### {facts.tally(records)}, in {duration(span)}\n\n"
    yield _HEAD
    for begin, record in zip(facts.offsets(records), records, strict=True):
        cells = [
            {"built": "✅", "failed": "❌"}.get(record.outcome, "⚪"),
            _code(record.identity),
            _text(facts.outcome(record)),
            duration(record.seconds),
            facts.ratio(record),
            str(record.attempts),
            f"<code>{timeline(record, begin, span)}</code>",
            _code(facts.short_digest(record.digest)) if record.digest else "",
        ]
        yield f"| {' | '.join(cells)} |\n"
    yield f"\n{_LEGEND}\n\n"
    yield from (_failure(record) for record in records if record.outcome == "failed")
    for record in records:
        for line in facts.cache_problems(record):
            yield f"> ⚠️ {_code(record.identity)}: {_text(line)}\n\n"
    yield from map(_details, records)


def timeline(record: BuildRecord, offset: float, span: float, blocks: int = BLOCKS) -> str:
    """Return what a build did over time, one character for each part of the span.

    Args:
        record: the build.
        offset: seconds from the beginning of the span to that of the build.
        span: seconds that all characters stand for.
        blocks: the number of characters.
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


def _failure(record: BuildRecord) -> str:
    step = facts.failed_step(record)
    head = f"#### ❌ {_code(record.identity)}\n\n{_text(record.message)}\n\n"
    log = "\n".join(facts.log(step, LOG)) if step else ""
    if not log:
        return head
    longest = max(map(len, re.findall(r"`+", log)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{head}{fence}text\n{log}\n{fence}\n\n"


def _details(record: BuildRecord) -> str:
    rows = (
        f"| {_text(facts.place(step))} | {_code(facts.instruction(step)[:WIDTH])} "
        f"| {facts.state_text(step)} | {duration(step.seconds)} "
        f"| {size(step.bytes) if step.bytes else ''} |\n"
        for step in record.steps
        if step.kind is StepKind.STEP or step.seconds >= 1
    )
    summary = f"{_code(record.identity)}: {duration(record.seconds)}"
    digest = f"{_code(f'{record.image}@{record.digest}')}\n\n" if record.digest else ""
    table = "| | step | | time | moved |\n| --- | --- | --- | ---: | ---: |\n"
    return (
        f"<details><summary>{summary}</summary>\n\n{digest}{table}{''.join(rows)}\n</details>\n\n"
    )


def _code(text: str) -> str:
    return f"<code>{_text(text)}</code>"
