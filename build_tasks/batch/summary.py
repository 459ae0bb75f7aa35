"""Summarize the builds of a run: a table, and one error with one exit code."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from build_tasks.batch.schedule import Outcome
from build_tasks.errors import ImagesError, SeveralErrors
from build_tasks.progress.base import reason
from build_tasks.text.formatting import duration, listed, shorten

HEADER = ("build", "outcome", "time", "tries", "")
#: What stands before a result or an error that has lines of its own.
_INDENT = "  "


def error(outcomes: Sequence[Outcome]) -> ImagesError | None:
    """Return the error of the only build that failed, one that names all that failed, or None."""
    failed = {outcome.name: outcome.error for outcome in outcomes if outcome.error}
    if len(failed) <= 1:
        return next(iter(failed.values()), None)
    names = listed(f"{name} ({error.kind})" for name, error in failed.items())
    message = f"{len(failed)} of {len(outcomes)} failed: {names}"
    return SeveralErrors(message, tuple(failed.values()))


def table(outcomes: Iterable[Outcome], width: int | None) -> list[str]:
    """Return the lines of a table of outcomes.

    Args:
        outcomes: one for each row.
        width: columns after which a result or an error has lines of its own, wrapped between words:
            a tag, a digest or a reason is never cut. None for unlimited.
    """
    rows = [HEADER, *map(_cells, outcomes)]
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(HEADER) - 1)]
    lines = []
    for *cells, text in rows:
        start = "  ".join(cell.ljust(size) for cell, size in zip(cells, widths, strict=True))
        line = f"{start}  {text}".rstrip()
        if width is None or len(line) <= width:
            lines.append(line)
            continue
        lines += [start.rstrip(), *_wrapped(text, width)]
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        max(width, len(_INDENT) + 1),
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _cells(outcome: Outcome) -> tuple[str, ...]:
    attempts = str(outcome.attempts) if outcome.attempts else ""
    seconds = duration(outcome.seconds) if outcome.attempts else ""
    if outcome.error:
        message = shorten(reason(outcome.name, outcome.error), 200)
        return outcome.name, f"failed ({outcome.error.kind})", seconds, attempts, message
    return outcome.name, outcome.state, seconds, attempts, outcome.result or ""
