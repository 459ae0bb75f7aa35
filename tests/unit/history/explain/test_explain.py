"""Why steps ran again: which of them need a reason, and what the cache has to do with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from comparisons import ALL, BEFORE, FILES, causes, record

from build_tasks.batch.run_recorder import RunRecorder
from build_tasks.buildx.toolchain import Client
from build_tasks.history import journal
from build_tasks.history.explain import explain, explanation
from build_tasks.history.explain.causes import Cause, Why
from build_tasks.history.record import BuildRecord, CacheUse, Step, StepKind


def test_an_argument_has_both_values_and_consequences() -> None:
    now = record({"build 2", "build 3", "main 4"}, arguments={"A": "2"})
    (miss,) = explain(BEFORE, now).misses
    assert miss.causes == (Cause(Why.ARGUMENT, "A", "1", "2"),)
    assert miss.consequences == ("build 3/9", "main 4/9")
    assert miss.line == 6
    assert explanation.lines(explain(BEFORE, now)) == [
        "ci-3.11-amd64: 3 of 6 steps ran again since the build of 2026-01-01T00:00:00",
        "  build 2/9, line 6: first; then build 3/9, main 4/9",
        "    argument A: '1' -> '2'",
    ]


def test_each_branch_has_a_first_miss_of_its_own() -> None:
    files = {**FILES, "c/1.txt": "100644 xx", "d/one": ""}
    found = explain(BEFORE, record({"files 1", "build 3", "main 3", "main 4"}, files=files))
    assert [(miss.step, miss.consequences) for miss in found.misses] == [
        ("files 1/9", ("build 3/9", "main 4/9")),
        ("main 3/9", ("main 4/9",)),
    ]
    assert "    file d/one: is gone" in explanation.lines(found)


@pytest.mark.parametrize(
    "before",
    [
        replace(BEFORE, export=CacheUse("r/c:1")),
        replace(record(), imports=(CacheUse("r/c:1"),)),
    ],
)
def test_an_unread_cache_that_has_the_step_is_the_cause(before: BuildRecord) -> None:
    now = record(ALL, imports=(CacheUse("r/c:1", "not found"), CacheUse("r/c:2")))
    found = explain(before, now)
    assert {miss.causes for miss in found.misses} == {
        (Cause(Why.IMPORT, "r/c:1", now="not found"),)
    }
    said = explanation.lines(found)
    assert said[-1] == "    unchanged, but the cache r/c:1, which has it, was not read: not found"
    assert len(said) == 1 + 3 + 1  # three first misses, one reason


def test_a_left_out_cache_that_has_the_step_is_the_cause() -> None:
    before = replace(BEFORE, export=CacheUse("r/c:1"))
    silent = CacheUse("r/c:1", "no answer within 8 s", left_out=True)
    assert explanation.lines(explain(before, record(ALL, imports=(silent,))))[-1] == (
        "    unchanged, but the cache r/c:1, which has it, was left out: no answer within 8 s"
    )
    gone = CacheUse("r/c:1", "r/c:1: not found", left_out=True)
    ((_, found), *_) = causes(record(ALL, imports=(gone,)), before)
    assert found == (Cause(Why.IMPORT, "r/c:1", now="r/c:1: not found"),)


def test_an_unread_cache_without_the_step_is_no_cause() -> None:
    now = record(ALL, imports=(CacheUse("r/c:1", "not found"), CacheUse("r/c:2")))
    found = explain(BEFORE, now)
    assert {miss.causes for miss in found.misses} == {
        (Cause(Why.COLLECTED, "r/c:2", now="r/c:1 (not found)"),)
    }
    assert explanation.lines(found)[-1] == (
        "    unchanged, but no longer in the builder's cache: pruned or collected; "
        "not in r/c:2; not read: r/c:1 (not found)"
    )


def test_a_read_cache_that_should_have_the_step_is_named() -> None:
    now = record(ALL, imports=(CacheUse("r/c:1"), CacheUse("r/c:2")))
    written = replace(BEFORE, export=CacheUse("r/c:1"))
    assert explanation.lines(explain(written, now))[-1].endswith(
        "; not in r/c:1 (which had it), r/c:2"
    )
    failed = replace(BEFORE, export=CacheUse("r/c:1", "401"))
    assert explanation.lines(explain(failed, now))[-1].endswith("; not in r/c:1, r/c:2")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Cause(Why.COLLECTED)),
        ({"imports": (CacheUse("r/c:1"),)}, Cause(Why.COLLECTED, "r/c:1")),
        ({"cache_disabled": True}, Cause(Why.DISABLED)),
        ({"builder": "other"}, Cause(Why.BUILDER, "builder", "default", "other")),
    ],
)
def test_an_unchanged_step_has_a_cause_in_the_cache(
    changes: dict[str, Any], expected: Cause
) -> None:
    found = causes(record(ALL, salt="2", **changes))
    assert [one for _, one in found] == [(expected,)] * 3
    assert explanation.lines(explain(BEFORE, record(ALL, **changes)))[-1].startswith("    ")


def test_a_step_that_the_earlier_build_did_not_finish() -> None:
    broken = replace(
        BEFORE,
        outcome="failed",
        steps=tuple(
            replace(step, error="exit code: 1") if step.number == 3 else step
            for step in BEFORE.steps
        ),
    )
    ((_, found),) = causes(record({"build 3"}), broken)
    assert found == (Cause(Why.UNFINISHED, "failed"),)


def test_an_unknown_cause_is_not_guessed() -> None:
    def hidden(digest: str) -> BuildRecord:
        step = Step(digest, "[2/2] RUN x", StepKind.STEP, number=2, total=2, started=True)
        return BuildRecord(
            "x", began="1", instructions=("stage-0 1 FROM a", "stage-0 2 RUN x"), steps=(step,)
        )

    found = explain(hidden("1"), hidden("2"))
    assert [(miss.step, miss.line, miss.causes) for miss in found.misses] == [
        ("2/2", 2, (Cause(Why.UNKNOWN),))
    ]
    bare = replace(hidden("1"), instructions=())
    assert explain(bare, bare).misses[0].causes == (Cause(Why.COLLECTED),)


def test_platforms_have_steps_of_their_own() -> None:
    steps = tuple(
        replace(step, platform=platform, digest=f"{platform}{step.digest}", inputs=())
        for platform in ("linux/amd64", "linux/arm64")
        for step in record({"build 2"}).steps
    )
    found = explain(BEFORE, replace(BEFORE, steps=steps))
    assert [miss.step for miss in found.misses] == [
        "build 2/9 (linux/amd64)",
        "build 2/9 (linux/arm64)",
    ]


def test_after_a_build_only_misses_are_explained() -> None:
    said: list[str] = []
    recorder = RunRecorder("run", Client("docker", ("buildx",), {}), said.append)

    def began(day: int, **changes: Any) -> BuildRecord:
        return replace(record(**changes), began=f"2026-01-0{day}", run=str(day))

    first = began(1, ran=ALL)
    said += recorder.explain(first)
    journal.write(first)
    said += recorder.explain(began(2))
    assert said == []
    said += recorder.explain(began(3, ran={"build 2"}, arguments={"A": "2"}))
    assert said == [
        "1 of 6 steps ran again since the build of 2026-01-01",
        "  build 2/9, line 6: first",
        "    argument A: '1' -> '2'",
    ]
