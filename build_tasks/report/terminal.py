"""A few lines for the terminal: one build in detail, or a row for each of several."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence

from build_tasks.history.record import BuildRecord
from build_tasks.report import facts
from build_tasks.text import escaping
from build_tasks.text.formatting import UNLIMITED, duration, shorten, size

#: Lines of a failed step's log.
LOG = 10
#: What is wrapped and never cut, and what a build itself prints.
_WHOLE = frozenset(("digest", "reuse", "warning", "failure"))
_COLUMNS = ("build", "outcome", "time", "ran/cached", "tries", "digest")


def summary(records: Sequence[BuildRecord], width: int | None = None) -> str:
    """Return a short table of one build or several, by default as wide as the terminal."""
    from build_tasks.text import tables  # noqa: PLC0415 - rich is slow

    columns = width or _terminal_columns()
    if len(records) == 1:
        (record,) = records
        tries = f" at try {record.attempts}" if record.attempts > 1 else ""
        head = f"{record.identity}: {facts.outcome(record)} in {duration(record.seconds)}{tries}"
        lines = [head]
        for label, text in _rows(record):
            line = f"{label:7}  {text}".rstrip()
            lines += tables.wrapped(line, columns, 9) if label in _WHOLE else [line]
        return "".join(f"{tables.cut(line, columns)}\n" for line in lines)
    cells = (
        (
            record.identity,
            facts.outcome(record),
            duration(record.seconds),
            facts.ratio(record),
            str(record.attempts),
            facts.short_digest(record.digest),
        )
        for record in records
    )
    table = tables.render(_COLUMNS, cells, columns, wrap=False)
    lines = [line.rstrip() for line in table.splitlines()]
    for record in records:
        problems = (f"{record.identity}: {line}" for line in facts.cache_problems(record))
        texts = (f"{record.identity}: {one.text}" for one in record.reuse)
        for line in filter(None, (record.message, *texts, *problems)):
            lines += tables.wrapped(line, columns, 2)
    lines.append(f"{facts.tally(records)}, in {duration(facts.span(records))}")
    return "".join(f"{tables.cut(line, columns)}\n" for line in lines)


def brief(record: BuildRecord) -> list[str]:
    """Return the lines for a build that just ended, without what the build itself prints."""
    columns = _terminal_columns()
    return [
        f"{label:7}  {shorten(escaping.plain(text), columns - 9)}".rstrip()
        for label, text in _rows(record)
        if label not in _WHOLE
    ]


def _terminal_columns() -> int:
    return shutil.get_terminal_size((UNLIMITED, 24)).columns


def _rows(record: BuildRecord) -> Iterator[tuple[str, str]]:
    """Yield the lines of one build, each as a label and a text."""
    if text := facts.reuse(record):
        yield "reuse", text
    ran, cached = facts.counted(record)
    yield "steps", f"{ran} ran, {cached} cached, of {len(record.dockerfile_steps)}"
    for number, step in enumerate(facts.slowest(record)):
        yield "" if number else "slowest", f"{duration(step.seconds)}  {facts.named(step)}"
    if moved := facts.transferred(record):
        yield "moved", f"{size(moved)} of context, layers and caches (not RUN's downloads)"
    if record.digest:
        yield "digest", record.digest
    for line in facts.cache_problems(record):
        yield "warning", line
    if record.message:
        yield "failure", record.message
    if step_that_failed := facts.failed_step(record):
        for line in facts.log(step_that_failed, LOG):
            yield "", f"| {line}"
