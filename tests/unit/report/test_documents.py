"""JUnit's XML, and what all documents do with any text."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
import records
from hostile_records import ANY, evil
from hypothesis import given, settings
from hypothesis import strategies as st

from build_tasks.history.record import BuildRecord
from build_tasks.report import documents, page

RUN = records.run()
FAILED = next(one for one in RUN if one.outcome == "failed")


def test_junit_has_a_case_for_each_build() -> None:
    root = ET.fromstring(documents.junit(RUN))  # noqa: S314 - our own
    (suite,) = root
    assert (root.tag, suite.tag) == ("testsuites", "testsuite")
    assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped")] == [
        "24",
        "1",
        "0",
        "0",
    ]
    assert suite.get("timestamp") == "2026-11-24T02:17:04+00:00"
    assert float(suite.get("time", "")) == pytest.approx(sum(one.seconds for one in RUN), abs=0.01)
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == [one.identity for one in RUN]
    assert {case.get("classname") for case in cases} == {"airflow-images.ci", "airflow-images.prod"}
    said = {one.get("name"): one.get("value") for one in cases[0].iter("property")}
    assert said["digest"] == RUN[0].digest
    assert said["steps-cached"] == "8"
    (failure,) = root.iter("failure")
    assert failure.get("type") == "step"
    assert failure.get("message") == FAILED.message
    assert (failure.text or "").splitlines()[-1].endswith("failed with exit code 1")
    (lost,) = root.iter("system-err")
    assert "401" in (lost.text or "")


def test_junit_has_skipped_and_failed_builds() -> None:
    some = [
        BuildRecord("a", outcome="cancelled", message="stopped by SIGINT"),
        BuildRecord("b", outcome="skipped"),
        BuildRecord("c", outcome="failed", failure="network", message="no route"),
    ]
    (suite,) = ET.fromstring(documents.junit(some))  # noqa: S314 - our own
    assert [suite.get(name) for name in ("failures", "skipped", "timestamp")] == ["1", "2", None]
    assert [one.get("message") for one in suite.iter("skipped")] == ["stopped by SIGINT", "skipped"]
    (failure,) = suite.iter("failure")
    assert (failure.get("type"), failure.text) == ("network", "no route")


@given(st.lists(ANY, max_size=3))
@settings(deadline=None)
def test_junit_escapes_any_text(some: list[BuildRecord]) -> None:
    root = ET.fromstring(documents.junit([*some, evil()]).encode())  # noqa: S314 - our own
    assert len([*root.iter("testcase")]) == len(some) + 1


def test_a_sequence_of_the_terminal_ends_with_its_value() -> None:
    record = BuildRecord("x\x1b]0;", kind="y\x07", python="z")
    text = page.html([record])
    assert 'data-name="x0;" data-kind="y" data-python="z"' in text
