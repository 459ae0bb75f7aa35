"""Markdown for the summary of a step on GitHub.

A timeline of blocks in a table: GitHub's own diagrams end at 50,000 characters, do not tell cached
from run, and are pictures that nobody can search.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from build_tasks.errors import DiskError
from build_tasks.history.record import BuildRecord, Step, StepKind
from build_tasks.report import facts
from build_tasks.text import formatting
from build_tasks.text.escaping import markdown as _text

VARIABLE = "GITHUB_STEP_SUMMARY"
#: Bytes of all that one step may write (GitHub: "1 MiB per step"), and what is left free of it.
LIMIT = 1024 * 1024 - 4096
#: Blocks of a timeline, and lines of a failed step's log.
BLOCKS = 40
LOG = 30
_WAITING, _MOVING, _CACHED, _RAN, _FAILED = "·", "░", "▒", "█", "✖"
_LEGEND = (
    f"`{_RAN}` ran, `{_CACHED}` cached, `{_MOVING}` moved data, `{_FAILED}` failed, "
    f"`{_WAITING}` waited"
)
_CUT = "\n\n_The rest is cut: GitHub takes 1 MiB for each step._\n"


def markdown(records: Sequence[BuildRecord], limit: int = LIMIT) -> str:
    """Return builds as Markdown: a table with a timeline, failures with their logs, details.

    Args:
        records: the builds.
        limit: bytes that it may have; what does not fit is left out from the end.
    """
    page = ""
    for part in _parts(records):
        if len((page + part).encode()) + len(_CUT) > limit:
            # A table may end at any line; a block of details is left out as a whole.
            return page + _CUT if len(page) + len(_CUT) <= limit else ""
        page += part
    return page


def publish(records: Sequence[BuildRecord]) -> bool:
    """Append builds to the summary of GitHub's step; return False where there is none.

    Raises:
        DiskError: the summary cannot be written to.
    """
    name = os.environ.get(VARIABLE)
    if not name or not records:
        return False
    file = Path(name)
    try:
        there = file.stat().st_size if file.exists() else 0
        with file.open("a", encoding="utf-8") as summary:
            summary.write(markdown(records, limit=LIMIT - there))
    except OSError as error:
        raise DiskError(f"{VARIABLE}: {name} cannot be written: {error.strerror}") from None
    return True


def _parts(records: Sequence[BuildRecord]) -> Iterator[str]:
    """Yield the page piece by piece; it may end after each."""
    span = facts.span(records)
    yield f"### {facts.tally(records)}, in {formatting.duration(span)}\n\n"
    yield (
        "| | build | outcome | time | ran/cached | tries | timeline | digest |\n"
        "| --- | --- | --- | ---: | ---: | ---: | --- | --- |\n"
    )
    for at, record in zip(facts.offsets(records), records, strict=True):
        cells = [
            {"built": "✅", "failed": "❌"}.get(record.outcome, "⚪"),
            f"<code>{_text(record.identity)}</code>",
            _text(facts.outcome(record)),
            formatting.duration(record.seconds),
            facts.ratio(record),
            str(record.attempts),
            f"<code>{timeline(record, at, span)}</code>",
            f"<code>{_text(facts.short(record.digest))}</code>" if record.digest else "",
        ]
        yield f"| {' | '.join(cells)} |\n"
    yield f"\n{_LEGEND}\n\n"
    for record in records:
        if record.outcome == "failed":
            yield _failure(record)
    for record in records:
        for line in facts.lost(record):
            yield f"> ⚠️ <code>{_text(record.identity)}</code>: {_text(line)}\n\n"
    for record in records:
        yield _details(record)


def timeline(record: BuildRecord, at: float, span: float, blocks: int = BLOCKS) -> str:
    """Return what a build did at each time, a sign for each part of the whole.

    Args:
        record: the build.
        at: when it began, in seconds after the first.
        span: seconds of the whole.
        blocks: signs.
    """
    signs = [_WAITING] * blocks
    whole = max(span, 0.001)
    for step in sorted(record.steps, key=_rank):
        for begin, end in step.intervals:
            first = int((at + begin) / whole * blocks)
            last = int((at + end) / whole * blocks)
            for place in range(first, min(last, blocks - 1) + 1):
                signs[place] = _sign(step)
    return "".join(signs)


def _sign(step: Step) -> str:
    if step.error and step.kind is StepKind.STEP:
        return _FAILED
    if step.kind is StepKind.STEP:
        return _CACHED if step.cached else _RAN
    return _MOVING


def _rank(step: Step) -> tuple[bool, bool, bool]:
    return bool(step.error), step.ran, step.kind is StepKind.STEP


def _failure(record: BuildRecord) -> str:
    step = facts.failed_step(record)
    text = f"#### ❌ <code>{_text(record.identity)}</code>\n\n{_text(record.message)}\n\n"
    lines = facts.log(step, LOG) if step else []
    if not lines:
        return text
    body = "\n".join(lines)
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{text}{fence}text\n{body}\n{fence}\n\n"


def _details(record: BuildRecord) -> str:
    rows = [
        f"| {_text(facts.place(step))} | <code>{_text(facts.instruction(step)[:120])}</code> "
        f"| {_state(step)} | {formatting.duration(step.seconds)} "
        f"| {formatting.size(step.bytes) if step.bytes else ''} |\n"
        for step in record.steps
        if step.kind is StepKind.STEP or step.seconds >= 1
    ]
    head = (
        f"<details><summary><code>{_text(record.identity)}</code>: "
        f"{formatting.duration(record.seconds)}</summary>\n\n"
    )
    digest = f"<code>{_text(f'{record.image}@{record.digest}')}</code>\n\n" if record.digest else ""
    table = "| | step | | time | bytes |\n| --- | --- | --- | ---: | ---: |\n"
    return f"{head}{digest}{table}{''.join(rows)}\n</details>\n\n"


def _state(step: Step) -> str:
    if step.error:
        return "failed"
    if not step.started:
        return "not reached"
    return "cached" if step.cached else "ran"
