"""Steps of two versions of a Dockerfile are matched."""

from __future__ import annotations

import pytest
from comparisons import ALL, TEXT, causes, changed, record

from build_tasks.history.explain.causes import Cause, Why


def test_a_renamed_stage_is_matched() -> None:
    text = TEXT.replace("AS build", "AS tools").replace("from=build", "from=tools")
    now = record({"tools 3"}, text=text.replace("second", "2nd"))
    assert causes(now) == [("tools 3/9", (changed(8, "second", "2nd"),))]


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
