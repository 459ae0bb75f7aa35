"""What many builds amount to."""

from __future__ import annotations

from typing import Any

import pytest

from build_tasks.batch import summary
from build_tasks.batch.build_jobs import Made
from build_tasks.batch.schedule import Outcome, State
from build_tasks.errors import (
    CommandTimeout,
    DiskError,
    ImagesError,
    MissingProgram,
    SeveralErrors,
    StepError,
)


def failed(name: str, kind: type[ImagesError] = StepError, **said: Any) -> Outcome:
    error = kind(f"{name}: no")
    return Outcome(name, State.FAILED, error=error, **{"attempts": 1, "seconds": 2.0, **said})


BUILT = Outcome("a", State.BUILT, Made("pushed r/i sha256:1", "sha256:1"), attempts=1, seconds=3.0)
SKIPPED = Outcome("s", State.SKIPPED)
CANCELLED = Outcome("c", State.CANCELLED, error=DiskError("c: ended"), attempts=1, seconds=1.0)


def test_all_well_is_no_error() -> None:
    assert summary.error([BUILT, SKIPPED]) is None


@pytest.mark.parametrize(
    ("outcomes", "kind", "message"),
    [
        ([failed("a")], StepError, "a: no"),
        ([BUILT, failed("b"), SKIPPED, CANCELLED], StepError, "b: no"),
        ([failed("a"), failed("b"), BUILT], StepError, "2 of 3 failed: a (step), b (step)"),
        ([failed("a"), failed("b", DiskError)], SeveralErrors, "2 of 2 failed: a (step), b (disk)"),
    ],
)
def test_what_failed_is_one_error(
    outcomes: list[Outcome], kind: type[ImagesError], message: str
) -> None:
    error = summary.error(outcomes)
    assert type(error) is kind
    assert str(error) == message


def test_what_is_kept_is_said_of_one_that_failed_alone() -> None:
    kept = {"b": "kept: x"}
    assert str(summary.error([BUILT, failed("b")], kept)) == "b: no (kept: x)"


def test_each_class_is_one_word() -> None:
    words = [summary.word(kind("x")) for kind in (DiskError, CommandTimeout, MissingProgram)]
    assert words == ["disk", "timeout", "program"]


def test_the_table_has_a_row_for_each() -> None:
    assert summary.lines([BUILT, failed("bb", attempts=3), SKIPPED, CANCELLED], None) == [
        "build  outcome        time   tries",
        "a      built          3.0 s  1      pushed r/i sha256:1",
        "bb     failed (step)  2.0 s  3      no",
        "s      skipped",
        "c      cancelled      1.0 s  1",
    ]


def test_no_row_is_wider_than_the_terminal() -> None:
    rows = summary.lines([BUILT, failed("bb")], 40)
    assert max(map(len, rows)) == 40
    assert rows[1].endswith("…")
