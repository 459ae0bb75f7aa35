"""A few lines for a terminal: what a build did, or a row for each of several."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Sequence

from build_tasks.history.record import BuildRecord
from build_tasks.report import facts
from build_tasks.text import escaping, formatting

#: Lines of a failed step's log that are shown.
LOG = 10
#: A pipe has no width: what reads it wants whole lines.
ENDLESS = 1000


def summary(records: Sequence[BuildRecord], width: int | None = None) -> str:
    """Return a short table of what one build, or several, did; no line is longer than the width.

    Args:
        records: the builds.
        width: columns; by default the terminal's, or as many as it takes where there is none.
    """
    columns = width or shutil.get_terminal_size((ENDLESS, 24)).columns
    if len(records) == 1:
        lines = [f"{label:7}  {text}".rstrip() for label, text in _one(records[0])]
        first = f"{records[0].identity}: {_came_of_it(records[0])}"
        return "".join(f"{_cut(line, columns)}\n" for line in (first, *lines))
    rows = [_row(record) for record in records]
    lines = [_table(("build", "outcome", "time", "ran/cached", "tries", "digest"), rows, columns)]
    for record in records:
        said = [record.message] if record.message else []
        said += [f"{record.identity}: {one}" for one in facts.lost(record)]
        lines += [f"{_cut(line, columns)}\n" for line in said]
    took = formatting.duration(facts.span(records))
    lines.append(f"{_cut(f'{facts.tally(records)}, in {took}', columns)}\n")
    return "".join(lines)


def brief(record: BuildRecord) -> list[str]:
    """Return the few lines that stand under a build that is over, beside what it says itself.

    Args:
        record: the build.
    """
    columns = shutil.get_terminal_size((ENDLESS, 24)).columns
    rows = [row for row in _one(record) if row[0] not in {"digest", "warning", "failure"}]
    lines = (
        " ".join(escaping.plain(f"{label:7}  {text}").split("\n")).rstrip() for label, text in rows
    )
    # Without a library that knows how wide each letter is: it would cost more than the lines.
    return [line if len(line) <= columns else f"{line[: columns - 1]}…" for line in lines]


def _row(record: BuildRecord) -> list[str]:
    return [
        record.identity,
        facts.outcome(record),
        formatting.duration(record.seconds),
        facts.ratio(record),
        str(record.attempts),
        facts.short(record.digest),
    ]


def _came_of_it(record: BuildRecord) -> str:
    tries = f" at try {record.attempts}" if record.attempts > 1 else ""
    return f"{facts.outcome(record)} in {formatting.duration(record.seconds)}{tries}"


def _one(record: BuildRecord) -> list[list[str]]:
    ran, cached = facts.counted(record)
    rows = [
        ["steps", f"{ran} ran, {cached} cached, of {len(facts.steps(record))}"],
    ]
    for number, step in enumerate(facts.slowest(record)):
        rows.append(
            [
                "" if number else "slowest",
                f"{formatting.duration(step.seconds)}  {facts.named(step)}",
            ]
        )
    if size := facts.transferred(record):
        rows.append(["bytes", formatting.size(size)])
    if record.digest:
        rows.append(["digest", record.digest])
    rows += [["warning", line] for line in facts.lost(record)]
    if record.message:
        rows.append(["failure", record.message])
    step_that_failed = facts.failed_step(record)
    if step_that_failed:
        rows += [["", f"| {line}"] for line in facts.log(step_that_failed, LOG)]
    return rows


def _table(columns: Iterable[str], rows: Iterable[Sequence[str]], width: int) -> str:
    from rich.console import Console  # noqa: PLC0415 - start-up time
    from rich.table import Table  # noqa: PLC0415 - start-up time
    from rich.text import Text  # noqa: PLC0415 - start-up time

    table = Table(*columns, box=None, pad_edge=False)
    for column in table.columns:
        column.no_wrap = True
        column.overflow = "ellipsis"
    for row in rows:
        table.add_row(*(Text(escaping.plain(cell)) for cell in row))
    page = io.StringIO()
    Console(file=page, width=width, color_system=None, force_terminal=False).print(table)
    return "".join(f"{line.rstrip()}\n" for line in page.getvalue().splitlines())


def _cut(line: str, width: int) -> str:
    from rich.text import Text  # noqa: PLC0415 - start-up time

    text = Text(" ".join(escaping.plain(line).splitlines()))
    text.truncate(width, overflow="ellipsis")
    return text.plain
