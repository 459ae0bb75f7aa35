"""Summarize the builds of a run: a table, and one error with one exit code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from build_tasks.batch.schedule import Outcome
from build_tasks.errors import ImagesError, SeveralErrors
from build_tasks.text.formatting import duration, listed, shorten

HEADER = ("build", "outcome", "time", "tries", "")


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
        width: columns to which error messages are cut. Tags and digests are never cut.
    """
    rows = [(HEADER, False), *((_cells(outcome), bool(outcome.error)) for outcome in outcomes)]
    widths = [max(len(cells[column]) for cells, _ in rows) for column in range(len(HEADER) - 1)]
    lines = []
    for cells, failed in rows:
        padded = [cell.ljust(size) for cell, size in zip(cells, widths, strict=False)]
        line = "  ".join([*padded, cells[-1]]).rstrip()
        cut = failed and width is not None and len(line) > width
        lines.append(f"{line[: width - 1]}…" if cut and width else line)
    return lines


def _cells(outcome: Outcome) -> tuple[str, ...]:
    attempts = str(outcome.attempts) if outcome.attempts else ""
    seconds = duration(outcome.seconds) if outcome.attempts else ""
    if outcome.error:
        message = shorten(str(outcome.error).removeprefix(f"{outcome.name}: "), 200)
        return outcome.name, f"failed ({outcome.error.kind})", seconds, attempts, message
    return outcome.name, outcome.state, seconds, attempts, outcome.result or ""
