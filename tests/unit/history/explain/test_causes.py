"""What changed in a step, or above it."""

from __future__ import annotations

import pytest
from comparisons import ALL, BEFORE, FILES, TEXT, causes, changed, record

from build_tasks.history.explain import explain, explanation
from build_tasks.history.explain.causes import Cause, Why


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


def test_a_moved_base_has_both_digests() -> None:
    found = causes(record({"build 2", "main 2"}, base="b"))
    cause = Cause(Why.BASE, "python:3.11", "sha256:a", "sha256:b")
    assert found == [("build 2/9", (cause,)), ("main 2/9", (cause,))]


def test_another_base_has_both_references() -> None:
    ((_, found), _) = causes(record({"build 2", "main 2"}, arguments={"BASE": "python:3.12"}))
    assert found == (
        Cause(Why.BASE, "python:3.12", "python:3.11@sha256:a", "python:3.12@sha256:a"),
    )


def test_a_change_above_a_cached_step_has_its_stage() -> None:
    now = record({"build 3"}, text=TEXT.replace("RUN first", "RUN first --again"))
    ((_, (cause,)),) = causes(now)
    assert (cause.why, cause.place) == (Why.INSTRUCTION, "build")
    assert (
        "above it, in build: the instruction changed" in explanation.lines(explain(BEFORE, now))[2]
    )


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


def test_source_date_epoch_is_a_cause_of_a_copy() -> None:
    text = "FROM b\nARG SOURCE_DATE_EPOCH\nCOPY a /a"
    before = record(text=text, arguments={"SOURCE_DATE_EPOCH": "1"})
    now = record({"stage-0 2"}, text=text, arguments={"SOURCE_DATE_EPOCH": "2"}, salt="2")
    ((_, found),) = causes(now, before)
    assert found == (Cause(Why.ARGUMENT, "SOURCE_DATE_EPOCH", "1", "2"),)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({}, {"changes:a": "100644 bb"}, ("changes:a", "aa", "bb")),
        ({}, {"changes:c": "100644 cc"}, ("changes:c", "", "cc")),
        ({"changes:a": "100644 bb"}, {}, ("changes:a", "bb", "aa")),
        ({"changes:c": "100644 cc"}, {}, ("changes:c", "cc", "")),
    ],
)
def test_a_file_that_lies_over_another_one_is_compared_with_that(
    before: dict[str, str], now: dict[str, str], expected: tuple[str, str, str]
) -> None:
    """A checkout's edited file is changed, not new, although its layer did not have it before."""
    text = "FROM scratch AS changes\nFROM scratch AS files\nCOPY --from=changes / /\n"
    base = {"sources:a": "100644 aa", "sources:b": "100644 bb"}
    then = record({"files 1"}, text=text, files={**base, **before})
    later = record({"files 1"}, text=text, files={**base, **now}, salt="2")
    (miss,) = explain(then, later).misses
    assert miss.causes == (Cause(Why.CONTENT, *expected),)
