"""What many builds amount to: a table for people, and one error with one exit code.

The rule: 0 where all ended well; where builds failed, the exit code of their class if it is the
same for all, and SeveralErrors' if it is not. What was skipped or ended because another build
failed adds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from build_tasks.batch.schedule import Outcome, State
from build_tasks.errors import ImagesError, SeveralErrors
from build_tasks.text.formatting import duration, listed, shorten

COLUMNS = ("build", "outcome", "time", "tries", "")


def error(outcomes: Sequence[Outcome], kept: Mapping[str, str] | None = None) -> ImagesError | None:
    """Return the error that says what failed, None if nothing did.

    Args:
        outcomes: what became of the builds.
        kept: what to say besides of a build that failed, by its name.
    """
    failed = {one.name: one.error for one in outcomes if one.error and one.state is State.FAILED}
    if not failed:
        return None
    classes = {type(error) for error in failed.values()}
    if len(failed) == 1:
        ((name, alone),) = failed.items()
        more = (kept or {}).get(name)
        return classes.pop()(f"{alone} ({more})" if more else str(alone))
    named = listed(f"{name} ({word(error)})" for name, error in failed.items())
    message = f"{len(failed)} of {len(outcomes)} failed: {named}"
    return classes.pop()(message) if len(classes) == 1 else SeveralErrors(message)


def word(error: ImagesError) -> str:
    """Return the class of a failure in one word: engine, registry, network."""
    name = type(error).__name__
    return {"CommandTimeout": "timeout", "MissingProgram": "program"}.get(
        name, name.removesuffix("Error").lower()
    )


def lines(outcomes: Sequence[Outcome], width: int | None) -> list[str]:
    """Return the table of outcomes.

    Args:
        outcomes: what became of the builds.
        width: the columns that a line has at most; any number if there is none.
    """
    rows = [COLUMNS, *(_cells(one) for one in outcomes)]
    wide = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS) - 1)]
    made = []
    for row in rows:
        padded = [cell.ljust(size) for cell, size in zip(row, wide, strict=False)]
        line = "  ".join([*padded, row[-1]]).rstrip()
        made.append(line if width is None or len(line) <= width else f"{line[: width - 1]}…")
    return made


def _cells(one: Outcome) -> tuple[str, ...]:
    tries = str(one.attempts) if one.attempts else ""
    took = duration(one.seconds) if one.attempts else ""
    if one.error and one.state is State.FAILED:
        said = shorten(str(one.error).removeprefix(f"{one.name}: "), 200)
        return one.name, f"{one.state} ({word(one.error)})", took, tries, said
    return one.name, one.state, took, tries, one.result.text if one.result else ""
