"""The report for the terminal, which keeps to its width."""

from __future__ import annotations

import pytest
import records
from hostile_records import ANY
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from build_tasks.history.record import BuildRecord, CacheUse, Reuse
from build_tasks.report import terminal

RUN = records.run()
FAILED = next(one for one in RUN if one.outcome == "failed")


def test_several_builds_have_a_row_each() -> None:
    lines = terminal.summary(RUN, 120).splitlines()
    assert len(lines) == 1 + len(RUN) + 3
    assert lines[0].split() == ["build", "outcome", "time", "ran/cached", "tries", "digest"]
    assert lines[9].split() == [
        "ci-3.11-amd64",
        "built",
        *["1", "min", "38", "s"],
        "5/4",
        "1",
        "0ee8818e53ea",
    ]
    assert any(
        line.startswith("ci-3.14-arm64") and " failed step [main 6/10] " in line for line in lines
    )
    assert lines[-3].startswith("prod-3.12-arm64: cache not read: ghcr.io/")
    assert lines[-2] == "ci-3.14-arm64: step [main 6/10] install it failed with exit code 1"
    assert lines[-1] == "24 builds: 23 built, 1 failed, in 14 min 46 s"


def test_one_build_is_shown_in_full() -> None:
    lines = terminal.summary([FAILED], 100).splitlines()
    assert lines[0] == "ci-3.14-arm64: failed step [main 6/10] in 4 min 50 s"
    assert lines[1] == "steps    1 ran, 4 cached, of 9"
    assert lines[2] == "slowest  4 min 39 s  [main 6/10] install the baseline of Python packages"
    assert lines[5] == "moved    264.3 MB of context, layers and caches (not RUN's downloads)"
    assert lines[6].startswith("failure  ci-3.14-arm64: step")
    assert lines[-1] == "         |       error: command '/usr/bin/gcc' failed with exit code 1"
    again = next(one for one in RUN if one.attempts == 2)
    assert terminal.summary([again], 100).startswith("prod-3.10-arm64: built in 14 s at try 2\n")


def test_a_digest_is_not_cut_at_80_columns() -> None:
    (line,) = [one for one in terminal.summary(RUN[:1], 80).splitlines() if "digest" in one]
    assert line == f"digest   {RUN[0].digest}"


@given(st.lists(ANY, max_size=3), st.integers(20, 120))
@settings(deadline=None)
def test_no_line_is_longer_than_the_terminal(some: list[BuildRecord], width: int) -> None:
    for line in terminal.summary(some, width).split("\n"):
        assert cell_len(line) <= width


def test_a_reason_is_not_cut_at_80_columns() -> None:
    reason = (
        "no such package: apache-airflow-providers-nothing (step 'install Airflow', exit code 42)"
    )
    reference = "ghcr.io/apache/airflow/main/ci/python3.11:cache-linux-amd64"
    export = CacheUse(reference, error="401 Unauthorized: authentication required")
    one, other = (
        BuildRecord(name, outcome="failed", message=f"{name}: {reason}", export=export)
        for name in ("ci-3.11-amd64", "prod-3.11-amd64")
    )
    for some in ([one], [one, other]):
        words = " ".join(terminal.summary(some, 80).split())
        assert words.count(f"ci-3.11-amd64: {reason}") == 1
        assert words.count("401 Unauthorized") == len(some)


def test_the_width_is_that_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert max(map(len, terminal.summary(RUN).splitlines())) == 40


def test_a_build_that_just_ended_has_a_few_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = terminal.brief(FAILED)
    assert lines[0] == "steps    1 ran, 4 cached, of 9"
    assert lines[1] == "slowest  4 min 39 s [main 6/10] install…"
    assert not [line for line in lines if line.startswith("failure")]
    assert max(map(len, lines)) <= 40


def test_what_was_taken_instead_of_a_build_is_shown_whole() -> None:
    digest = f"sha256:{'1' * 64}"
    taken = BuildRecord(
        "ci-3.11-amd64", outcome="skipped", reuse=(Reuse("r:5000/i:latest", digest, "the same"),)
    )
    built = BuildRecord("prod-3.11-amd64", reuse=(Reuse("r/i:latest", reason="not found"),))
    text = f"reused r:5000/i@{digest}: the same"
    for some in ([taken], [taken, built]):
        words = "".join(terminal.summary(some, 60).split())
        assert words.count("".join(text.split())) == 1
    assert "not reused: r/i:latest: not found" in terminal.summary([taken, built], 80)
    assert not [line for line in terminal.brief(built) if "reused" in line]
