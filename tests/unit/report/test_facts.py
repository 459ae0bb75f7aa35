"""What all reports show of records."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import records

from build_tasks.history.record import BuildRecord, CacheUse, Step, StepKind
from build_tasks.report import facts

RUN = records.run()


def test_a_step_has_its_short_name_without_control_characters() -> None:
    step = Step("d", "[main 2/9] RUN <<EOF (# install\x1b[1m uv\x07...)", StepKind.STEP)
    assert facts.instruction(step) == "install uv"


def test_counts_are_of_the_dockerfile_s_steps() -> None:
    one = next(one for one in RUN if one.identity == "ci-3.11-amd64")
    assert facts.counted(one) == (5, 4)
    assert facts.ratio(one) == "5/4"
    times = [step.seconds for step in facts.slowest(one)]
    assert times == sorted((step.seconds for step in one.steps), reverse=True)[:3]


def test_the_step_that_failed_is_not_one_that_was_cancelled() -> None:
    def step(text: str, kind: StepKind, error: str) -> Step:
        return Step(text, text, kind, "main", "", 2, 3, error=error, started=True)

    cancelled = step("a", StepKind.STEP, "context canceled")
    failed = step("b", StepKind.STEP, "exit code: 1")
    cache = step("c", StepKind.IMPORT, "401")
    export = step("d", StepKind.EXPORT, "500")
    record = BuildRecord("x", outcome="failed", steps=(cache, export, cancelled, failed))
    assert facts.failed_step(record) == failed
    assert facts.failed_step(replace(record, steps=(cache, cancelled, export))) == export
    assert facts.failed_step(replace(record, steps=(cache,))) is None
    assert facts.failed_step(replace(record, outcome="built")) is None


def test_hotspots_are_summed_over_all_builds() -> None:
    first, second = facts.hotspots(RUN, 2)
    ran = [
        step.seconds
        for one in RUN
        for step in one.steps
        if one.kind == "ci" and step.ran and step.number == 6
    ]
    assert (first.kind, first.place, first.builds) == ("ci", "main 6/10", len(ran))
    assert first.seconds == pytest.approx(sum(ran))
    assert second.seconds <= first.seconds


def test_an_invalid_time_counts_as_the_beginning() -> None:
    assert facts.offsets([BuildRecord("a", began="soon"), BuildRecord("b")]) == [0.0, 0.0]
    assert facts.span([]) == 0.0


def test_a_cache_that_was_never_written_is_no_problem() -> None:
    uses = (CacheUse("r/a:x", "r/a:x: not found"), CacheUse("r/b:x", "no\nanswer", left_out=True))
    assert facts.cache_problems(BuildRecord("x", imports=uses)) == [
        "cache not read: r/b:x: no answer"
    ]


STATES: list[tuple[dict[str, Any], str]] = [
    ({}, "unreached"),
    ({"started": True}, "ran"),
    ({"started": True, "cached": True}, "cached"),
    ({"started": True, "error": "x"}, "failed"),
    ({"started": True, "kind": StepKind.BASE}, "moved"),
    ({"started": True, "kind": StepKind.IMPORT, "error": "x"}, "lost"),
]


@pytest.mark.parametrize(("said", "state"), STATES)
def test_a_step_has_one_state(said: dict[str, Any], state: str) -> None:
    assert facts.state(replace(Step("d", "n", StepKind.STEP), **said)) == state
