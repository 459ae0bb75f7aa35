"""Why steps missed: records of builds that differ in one thing each, as BuildKit tells them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import pytest

from build_tasks.batch.run_recorder import RunRecorder
from build_tasks.buildx.toolchain import Client
from build_tasks.history import journal
from build_tasks.history.explain import explain, explanation
from build_tasks.history.explain.causes import Cause, Why
from build_tasks.history.record import BuildRecord, CacheUse, Step, StepKind
from build_tasks.inputs import dockerfile
from build_tasks.inputs.dockerfile import inputs

TEXT = """\
ARG BASE=python:3.11
FROM scratch AS files
COPY c/1.txt /c.txt
FROM ${BASE} AS build
ARG A=1
RUN first
ENV E=1
RUN --mount=from=files,target=/f <<EOF
second
EOF
FROM ${BASE} AS main
RUN third
COPY d /d
COPY --link --from=build /x /x
"""
FILES = {"c/1.txt": "100644 aa", "d/one": "100644 bb", "d/two": "100644 cc", "e": "100644 dd"}
ALL = ("files 1", "build 2", "build 3", "main 2", "main 3", "main 4")


def record(  # noqa: PLR0913 - all that makes a build
    ran: Collection[str] = (),
    *,
    text: str = TEXT,
    arguments: Mapping[str, str] | None = None,
    files: Mapping[str, str] = FILES,
    base: str = "a",
    salt: str = "",
    **changes: Any,
) -> BuildRecord:
    """Return the record of a build in which some steps ran.

    A step's digest is that of its name and of all above it, as BuildKit's are.
    """
    instructions = dockerfile.parse(text)
    uses = inputs.uses(instructions, arguments or {})
    steps = [Step(f"context{salt}", "[internal] load build context", StepKind.CONTEXT)]
    last: dict[str, str] = {}
    for use in uses:
        stage, number = use.stage.name, use.number
        if stage not in last and use.stage.base and not use.stage.parent:
            name = f"[{stage} 1/9] FROM docker.io/library/{use.stage.base}@sha256:{base}"
            steps.append(Step(f"from {name}", name, StepKind.BASE, stage, started=True))
            last[stage] = f"from {name}"
        above = [last[one] for one in (stage, *use.stages) if one in last]
        above += ["context" + salt] if use.files else []
        name = f"[{stage} {number}/9] {use.instruction.head}"
        digest = f"{name} {sorted(use.variables.items())} {above}"
        place = f"{stage} {number}"
        steps.append(
            Step(
                digest,
                name,
                StepKind.STEP,
                stage,
                number=number,
                total=9,
                inputs=tuple(above),
                started=True,
                cached=place not in ran,
            )
        )
        last[stage] = digest
    given = {
        "identity": "ci-3.11-amd64",
        "began": "2026-01-01T00:00:00",
        "arguments": arguments or {},
        "files": files,
        "instructions": tuple(map(str, instructions)),
        "steps": tuple(steps),
        "builder": "default",
        **changes,
    }
    return BuildRecord(**given)


BEFORE = record(ALL)


def changed(line: int, before: str, now: str) -> Cause:
    return Cause(Why.INSTRUCTION, f"line {line}", before, now)


def causes(now: BuildRecord, before: BuildRecord = BEFORE) -> list[tuple[str, tuple[Cause, ...]]]:
    return [(miss.step, miss.causes) for miss in explain(before, now).misses]


def test_a_cached_build_has_no_explanation() -> None:
    found = explain(BEFORE, record())
    assert not found.misses
    assert explanation.lines(found) == []


def test_a_first_build_is_one_line() -> None:
    assert explanation.lines(explain(None, BEFORE)) == [
        "ci-3.11-amd64: 6 of 6 steps ran: there is no earlier build to compare with"
    ]


def test_the_time_of_the_earlier_build_has_no_fraction() -> None:
    found = explanation.Explanation("ci-3.11-amd64", "2026-01-01T00:00:00.498941+00:00", 1, 6)
    assert explanation.lines(found) == [
        "ci-3.11-amd64: 1 of 6 steps ran again since the build of 2026-01-01T00:00:00Z"
    ]


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


@pytest.mark.parametrize(
    ("old", "new", "ran", "expected"),
    [
        ("second", "another", "build 3", changed(8, "second", "another")),
        ("ENV E=1", "ENV E=2", "build 3", Cause(Why.ENVIRONMENT, "E", "1", "2")),
        ("A=1", "A=5", "build 2", Cause(Why.ARGUMENT, "A", "1", "5")),
        ("ENV E=1", "ENV E=1\nUSER 5", "build 3", Cause(Why.INSTRUCTION, "USER", "", "5")),
        ("RUN first", "RUN x first", "build 2", changed(6, "RUN first", "RUN x first")),
        ("COPY d", "WORKDIR /w\nCOPY d", "main 3", Cause(Why.NEW, "line 13", now="WORKDIR /w")),
        ("COPY d", "RUN 3\nCOPY d", "main 3", Cause(Why.NEW, "line 13", now="RUN 3")),
        ("third", "quite another", "main 2", Cause(Why.NEW, "line 12", now="RUN quite another")),
    ],
)  # fmt: skip
def test_a_changed_instruction_is_a_cause(old: str, new: str, ran: str, expected: Cause) -> None:
    now = record({ran}, text=TEXT.replace(old, new, 1))
    assert [one for _, one in causes(now)] == [(expected,)]


@pytest.mark.parametrize(
    ("path", "now", "step", "expected"),
    [
        ("d/one", "100644 xx", "main 3", Cause(Why.CONTENT, "d/one", "bb", "xx")),
        ("d/two", "100755 cc", "main 3", Cause(Why.MODE, "d/two", "100644", "100755")),
        ("d/new", "100644 xx", "main 3", Cause(Why.CONTENT, "d/new", "", "xx")),
        ("c/1.txt", "100644 xx", "files 1", Cause(Why.CONTENT, "c/1.txt", "aa", "xx")),
    ],
)
def test_a_changed_file_is_a_cause_of_the_step_that_reads_it(
    path: str, now: str, step: str, expected: Cause
) -> None:
    found = causes(record({step}, files={**FILES, path: now}, salt="2"))
    assert found == [(f"{step}/9", (expected,))]


def test_many_files_are_counted() -> None:
    files = {**FILES, **{f"d/{number}": "100644 x" for number in range(9)}}
    said = explanation.lines(explain(BEFORE, record({"main 3"}, files=files)))
    assert said[2] == "    file d/0: is new"
    assert said[-1] == "    and 4 more"


def test_each_branch_has_a_first_miss_of_its_own() -> None:
    files = {**FILES, "c/1.txt": "100644 xx", "d/one": ""}
    found = explain(BEFORE, record({"files 1", "build 3", "main 3", "main 4"}, files=files))
    assert [(miss.step, miss.consequences) for miss in found.misses] == [
        ("files 1/9", ("build 3/9", "main 4/9")),
        ("main 3/9", ("main 4/9",)),
    ]
    assert "    file d/one: is gone" in explanation.lines(found)


def test_a_moved_base_has_both_digests() -> None:
    found = causes(record({"build 2", "main 2"}, base="b"))
    cause = Cause(Why.BASE, "python:3.11", "sha256:a", "sha256:b")
    assert found == [("build 2/9", (cause,)), ("main 2/9", (cause,))]


def test_another_base_has_both_references() -> None:
    ((_, found), _) = causes(record({"build 2", "main 2"}, arguments={"BASE": "python:3.12"}))
    assert found == (
        Cause(Why.BASE, "python:3.12", "python:3.11@sha256:a", "python:3.12@sha256:a"),
    )


def test_without_a_from_step_the_base_is_that_of_the_record() -> None:
    def bare(digest: str) -> BuildRecord:
        made = record({"build 2"}, base=("python:3.11", digest))  # type: ignore[arg-type]  # the record's own
        steps = tuple(step for step in made.steps if step.kind is not StepKind.BASE)
        return replace(made, steps=steps, base=("python:3.11", digest))

    ((_, found),) = causes(bare("sha256:2"), bare("sha256:1"))
    assert found == (Cause(Why.BASE, "python:3.11", "sha256:1", "sha256:2"),)


def test_a_change_above_a_cached_step_has_its_stage() -> None:
    now = record({"build 3"}, text=TEXT.replace("RUN first", "RUN first --again"))
    ((_, (cause,)),) = causes(now)
    assert (cause.why, cause.place) == (Why.INSTRUCTION, "build")
    assert (
        "above it, in build: the instruction changed" in explanation.lines(explain(BEFORE, now))[2]
    )


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
    ("old", "new", "ran", "expected"),
    [
        ("RUN first\n", "", "build 2", Cause(Why.GONE, "RUN first")),
        ("RUN third\n", "", "main 2", Cause(Why.GONE, "RUN third")),
        ("RUN third\nCOPY d /d", "COPY d /d\nRUN third", "main 2",
         Cause(Why.MOVED, "line 12", "RUN third", "")),
        ("ENV E=1", 'ENV E=1\nENV F=""', "build 3", Cause(Why.ENVIRONMENT, "F", "", '""')),
        ("ARG A=1", "ARG B=2\nARG A=1", "build 2", Cause(Why.ARGUMENT, "B", "", "2")),
    ],
)  # fmt: skip
def test_a_moved_or_removed_instruction_is_a_cause(
    old: str, new: str, ran: str, expected: Cause
) -> None:
    now = record({ran}, text=TEXT.replace(old, new, 1), salt="2")
    ((_, found),) = causes(now)
    assert found[:1] == (expected,)
    assert len(explanation.lines(explain(BEFORE, now))) >= 3


def test_the_order_of_the_environment_is_part_of_the_key() -> None:
    before = record(ALL, text=TEXT.replace("ENV E=1", "ENV E=1 F=2"))
    now = record({"build 3"}, text=TEXT.replace("ENV E=1", "ENV F=2 E=1"))
    ((_, found),) = causes(now, before)
    assert found == (Cause(Why.ORDER, "", "A, E, F", "A, F, E"),)


def test_the_user_above_a_workdir_owns_what_it_makes() -> None:
    text = "FROM b\nRUN x\nWORKDIR /w\nUSER 5\nCOPY a /a"
    now = record({"stage-0 3"}, text="FROM b\nRUN x\nUSER 5\nWORKDIR /w\nCOPY a /a")
    ((_, found),) = causes(now, record(text=text))
    assert found == (Cause(Why.INSTRUCTION, "USER", "", "5"),)


def test_a_renamed_stage_is_matched() -> None:
    text = TEXT.replace("AS build", "AS tools").replace("from=build", "from=tools")
    now = record({"tools 3"}, text=text.replace("second", "2nd"))
    assert causes(now) == [("tools 3/9", (changed(8, "second", "2nd"),))]


def test_source_date_epoch_is_a_cause_of_a_copy() -> None:
    text = "FROM b\nARG SOURCE_DATE_EPOCH\nCOPY a /a"
    before = record(text=text, arguments={"SOURCE_DATE_EPOCH": "1"})
    now = record({"stage-0 2"}, text=text, arguments={"SOURCE_DATE_EPOCH": "2"}, salt="2")
    ((_, found),) = causes(now, before)
    assert found == (Cause(Why.ARGUMENT, "SOURCE_DATE_EPOCH", "1", "2"),)


def test_long_texts_are_shown_around_their_difference() -> None:
    words = " ".join(map(str, range(60)))
    before = record(text=TEXT.replace("third", f"{words} old {words}"))
    now = record({"main 2"}, text=TEXT.replace("third", f"{words} new {words}"))
    said = explanation.lines(explain(before, now))[2]
    assert " old 0 1" in said
    assert " new 0 1" in said
    assert len(said) < 250


def test_a_step_that_another_image_named_has_its_own_place() -> None:
    """Of a step that two builds share, BuildKit says the name that the first of them gave it."""
    now = record({"main 2", "main 3", "main 4"}, text=TEXT.replace("third", "3rd"))
    steps = tuple(
        replace(step, name="[build 7/12] RUN 3rd", stage="build", number=7)
        if step.name.endswith("RUN 3rd")
        else step
        for step in now.steps
    )
    found = explain(BEFORE, replace(now, steps=steps))
    assert [(miss.line, miss.causes) for miss in found.misses] == [
        (12, (changed(12, "RUN third", "RUN 3rd"),))
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Cause(Why.COLLECTED)),
        ({"imports": (CacheUse("r/c:1"),)}, Cause(Why.COLLECTED, "r/c:1")),
        ({"command": "buildx build --no-cache ."}, Cause(Why.DISABLED)),
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


def test_the_data_is_json() -> None:
    found = explain(BEFORE, record({"main 3"}, files={**FILES, "d/one": "100755 bb"}))
    assert json.loads(json.dumps(found.data)) == {
        "schema": 1,
        "identity": "ci-3.11-amd64",
        "since": "2026-01-01T00:00:00",
        "ran": 1,
        "steps": 6,
        "misses": [
            {
                "step": "main 3/9",
                "text": "COPY d /d",
                "line": 13,
                "causes": [
                    {
                        "why": "mode",
                        "what": "d/one",
                        "before": "100644",
                        "now": "100755",
                        "place": "",
                    }
                ],
                "consequences": [],
            }
        ],
    }


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


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("RUN third", "WORKDIR /third", Cause(Why.NEW, "line 12", now="WORKDIR /third")),
        ("RUN third", "WORKDIR /b", Cause(Why.INSTRUCTION, "line 12", "WORKDIR /a", "WORKDIR /b")),
    ],
)
def test_an_instruction_with_another_keyword_is_new(old: str, new: str, expected: Cause) -> None:
    text = TEXT if expected.why is Why.NEW else TEXT.replace(old, "WORKDIR /a")
    before = record(ALL, text=text)
    ((_, found),) = causes(record({"main 2"}, text=TEXT.replace(old, new)), before)
    assert found == (expected,)
