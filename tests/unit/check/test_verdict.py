"""Verdicts on images, as data and as lines of text."""

from __future__ import annotations

import pytest

from build_tasks.check.verdict import Finding, Verdict

HAS = Finding("registry", "r/i:1", there=True, digest="sha256:1")


def test_a_verdict_without_an_answer_is_not_known() -> None:
    silent = Finding("registry", "a:1", problem="timeout")
    verdict = Verdict("ci-3.11-amd64", "nox -s x", (silent,), "timeout")
    assert verdict.lines == [
        "ci-3.11-amd64: not known",
        "  the registry did not answer: timeout",
        "  unknown whether the base image changed: timeout",
        "  nox -s x",
    ]
    assert verdict.data["verdict"] == "not known"


@pytest.mark.parametrize(
    ("finding", "text"),
    [
        (HAS, "has it: r/i:1"),
        (Finding("engine", "r/i:1"), "has no r/i:1"),
        (Finding("engine", "r/i:1", problem="no answer"), "did not answer: no answer"),
        (
            Finding("engine", "r/i:1", there=True, changed=("files", "base")),
            "has an older one, since changed: files, base",
        ),
        (
            Finding("engine", "r/i:1", there=True, changed=("files",), details=("files (a)",)),
            "has an older one, since changed: files (a)",
        ),
    ],
)
def test_a_finding_in_words(finding: Finding, text: str) -> None:
    assert finding.text == text
    assert finding.current is (finding is HAS)


def test_one_place_that_has_the_image_is_enough() -> None:
    silent = Finding("engine", "r/i:1", problem="no answer")
    verdict = Verdict("ci-3.11-amd64", "nox -s x", (silent, HAS))
    assert verdict.lines == [
        "ci-3.11-amd64: current",
        "  the engine did not answer: no answer",
        "  the registry has it: r/i:1",
    ]
    assert (verdict.current, verdict.stale) == (True, False)


def test_only_answers_make_an_image_out_of_date() -> None:
    verdict = Verdict("ci-3.11-amd64", "nox -s x", (Finding("engine", "r/i:1"),))
    assert (verdict.word, verdict.stale) == ("out of date", True)
    assert verdict.data["findings"] == (
        {
            "place": "engine",
            "reference": "r/i:1",
            "there": False,
            "digest": "",
            "changed": (),
            "details": (),
            "problem": "",
        },
    )
