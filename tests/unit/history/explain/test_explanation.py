"""Explanations as text and as data."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from comparisons import BEFORE, FILES, TEXT, record

from build_tasks.history.explain import explain, explanation
from build_tasks.history.explain.causes import Cause, Why
from build_tasks.history.explain.explanation import Explanation, Miss
from build_tasks.history.record import Reuse


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


def test_many_files_are_counted() -> None:
    files = {**FILES, **{f"d/{number}": "100644 x" for number in range(9)}}
    said = explanation.lines(explain(BEFORE, record({"main 3"}, files=files)))
    assert said[2] == "    file d/0: is new"
    assert said[-1] == "    and 4 more"


def test_long_texts_are_shown_around_their_difference() -> None:
    words = " ".join(map(str, range(60)))
    before = record(text=TEXT.replace("third", f"{words} old {words}"))
    now = record({"main 2"}, text=TEXT.replace("third", f"{words} new {words}"))
    said = explanation.lines(explain(before, now))[2]
    assert " old 0 1" in said
    assert " new 0 1" in said
    assert len(said) < 250


@pytest.mark.parametrize("why", [Why.ARGUMENT, Why.ENVIRONMENT])
def test_an_item_at_the_end_of_a_long_list_is_shown(why: Why) -> None:
    extras = ",".join(f"extra{number}" for number in range(30))
    cause = Cause(why, "A", extras, f"{extras},pandas")
    miss = Miss("main 2/9", "RUN x", 1, (cause,))
    said = explanation.lines(Explanation("ci-3.11-amd64", "2026", 1, 9, (miss,)))[-1]
    assert said.endswith("extra29' -> '...,extra27,extra28,extra29,pandas'")


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
        "reuse": [],
    }
    taken = replace(record(set()), reuse=(Reuse("r/i:a", "sha256:1", "the same"),))
    text = "reused r/i@sha256:1: the same"
    assert explain(None, taken).reuse == explain(BEFORE, taken).reuse == (text,)
