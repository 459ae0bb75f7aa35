"""The summary of several builds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from build_tasks.batch import summary
from build_tasks.batch.schedule import Outcome, State
from build_tasks.errors import (
    CommandTimeout,
    DiskError,
    ImagesError,
    MissingProgram,
    NetworkError,
    SeveralErrors,
    StepError,
)


def failed(
    name: str, kind: type[ImagesError] = StepError, *, reason: str = "no", attempts: int = 1
) -> Outcome:
    error = kind(f"{name}: {reason}")
    return Outcome(name, State.FAILED, error=error, attempts=attempts, seconds=2.0)


BUILT = Outcome("a", State.BUILT, "pushed r/i sha256:1", attempts=1, seconds=3.0)
SKIPPED = Outcome("s", State.SKIPPED)
CANCELLED = Outcome("c", State.CANCELLED, attempts=1, seconds=1.0)


def test_no_failure_is_no_error() -> None:
    assert summary.error([BUILT, SKIPPED]) is None


def test_the_error_of_a_single_failure_is_raised_as_it_is() -> None:
    error = NetworkError("b: cut", transient=True)
    outcomes = [BUILT, Outcome("b", State.FAILED, error=error), SKIPPED, CANCELLED]
    assert summary.error(outcomes) is error


@pytest.mark.parametrize(
    ("outcomes", "code", "message"),
    [
        ([failed("a"), failed("b"), BUILT], 10, "2 of 3 failed: a (step), b (step)"),
        ([failed("a"), failed("b", DiskError)], 12, "2 of 2 failed: a (step), b (disk)"),
    ],
)
def test_several_failures_are_one_error(outcomes: list[Outcome], code: int, message: str) -> None:
    error = summary.error(outcomes)
    assert isinstance(error, SeveralErrors)
    assert (str(error), error.exit_code) == (message, code)
    assert error.errors == tuple(outcome.error for outcome in outcomes if outcome.error)


def test_each_kind_of_error_is_one_word() -> None:
    kinds = [error("x").kind for error in (DiskError, CommandTimeout, MissingProgram)]
    assert kinds == ["disk", "timeout", "program"]


def test_the_table_has_a_row_for_each_build() -> None:
    assert summary.table([BUILT, failed("bb", attempts=3), SKIPPED, CANCELLED], None) == [
        "build  outcome        time   tries",
        "a      built          3.0 s  1      pushed r/i sha256:1",
        "bb     failed (step)  2.0 s  3      no",
        "s      skipped",
        "c      cancelled      1.0 s  1",
    ]


def test_a_narrow_table_cuts_no_tag_no_digest_and_no_reason() -> None:
    digest = f"sha256:{'1' * 64}"
    pushed = replace(
        BUILT, result=f"pushed ghcr.io/apache/airflow/main/ci/python3.11:latest {digest}"
    )
    bad = failed("bb", reason="E: no such package (step 'install Airflow and its providers')")
    assert summary.table([pushed, bad, SKIPPED], 80) == [
        "build  outcome        time   tries",
        "a      built          3.0 s  1",
        "  pushed ghcr.io/apache/airflow/main/ci/python3.11:latest",
        f"  {digest}",
        "bb     failed (step)  2.0 s  1",
        "  E: no such package (step 'install Airflow and its providers')",
        "s      skipped",
    ]
    assert f"  {digest}" in summary.table([pushed], 1)
