"""GitHub's step summary, which takes any text and keeps its limit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import records
from hostile_records import ANY, evil
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from build_tasks.errors import DiskError
from build_tasks.history.record import BuildRecord, Step, StepKind
from build_tasks.report import facts, step_summary

RUN = records.run()
FAILED = next(one for one in RUN if one.outcome == "failed")


def test_markdown_has_a_row_and_details_for_each_build() -> None:
    text = step_summary.markdown(RUN)
    assert text.startswith("### 24 builds: 23 built, 1 failed, in 14 min 46 s\n")
    rows = [line for line in text.splitlines() if line.startswith(("| ✅", "| ❌"))]
    assert len(rows) == 24
    assert text.count("<details>") == text.count("</details>") == 24
    assert text.count("#### ❌") == 1
    assert "\n```text\nUsing Python 3.14.1" in text
    assert "> ⚠️ <code>prod-3.12-arm64</code>: cache not read&#58; ghcr.io" in text
    assert len(text.encode()) < 60_000


def test_a_timeline_shows_steps_over_time() -> None:
    at, span = facts.offsets([FAILED])[0], FAILED.seconds
    assert step_summary.timeline(FAILED, at, span, 10) == "✖" * 10
    steps = (
        Step("a", "a", StepKind.BASE, started=True, intervals=((0, 10),)),
        Step("b", "b", StepKind.STEP, started=True, cached=True, intervals=((10, 10),)),
        Step("c", "c", StepKind.STEP, started=True, intervals=((20, 39),)),
    )
    assert step_summary.timeline(BuildRecord("x", steps=steps), 0, 50, 5) == "░▒██·"
    assert step_summary.timeline(BuildRecord("x", steps=steps), 50, 100, 10) == "·····░▒██·"
    assert step_summary.timeline(BuildRecord("x"), 0, 0, 3) == "···"


def test_markdown_escapes_any_text() -> None:
    text = step_summary.markdown([evil()])
    assert "\x1b" not in text
    fences = re.findall(r"^`{3,}", text, re.MULTILINE)
    assert fences == ["`````", "`````"]  # the log has four
    inside, outside = text.split(fences[0])[1], text.split(fences[0])[::2]
    assert "```` " in inside
    for part in outside:
        assert "<script" not in part
        assert not re.search(r"[@\[\]{}]|\|.*`", re.sub(r"`[█▒░✖·]`", "", part))


def test_text_cannot_break_the_markdown_table() -> None:
    rendered = (
        MarkdownIt("commonmark").enable("table").render(step_summary.markdown([evil(), *RUN]))
    )
    first = rendered.partition("</table>")[0]
    assert first.count("<tr>") == 1 + 1 + 24
    assert first.count("<td") == 25 * 8
    assert "<script" not in rendered
    assert rendered.count("<a ") == rendered.count("<img") == 0


@given(st.lists(ANY, max_size=4), st.integers(0, 6000))
@settings(deadline=None)
def test_markdown_keeps_its_limit(some: list[BuildRecord], limit: int) -> None:
    assert len(step_summary.markdown(some, limit).encode()) <= limit


def test_cut_markdown_has_a_note() -> None:
    whole = step_summary.markdown(RUN)
    cut = step_summary.markdown(RUN, 20_000)
    assert cut.endswith("_The rest is cut: GitHub takes 1 MiB for each step._\n")
    assert whole.startswith(cut.removesuffix(cut[cut.rindex("\n\n_The") :]))
    assert cut.count("<details>") == cut.count("</details>")


def test_a_summary_is_appended_on_github(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(step_summary.VARIABLE, raising=False)
    assert not step_summary.publish(RUN)
    file = tmp_path / "summary"
    file.write_text("before\n")
    monkeypatch.setenv(step_summary.VARIABLE, str(file))
    assert not step_summary.publish([])
    assert step_summary.publish(RUN[:1])
    assert step_summary.publish(RUN[1:2])
    text = file.read_text()
    assert text.startswith("before\n### 1 build: 1 built, in 9.4 s\n")
    assert text.count("### 1 build") == 2


def test_the_present_summary_counts_against_the_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "summary"
    file.write_text("x" * (step_summary.LIMIT - 9000))
    monkeypatch.setenv(step_summary.VARIABLE, str(file))
    assert step_summary.publish(RUN)
    assert step_summary.LIMIT - 9000 < file.stat().st_size <= step_summary.LIMIT
    monkeypatch.setenv(step_summary.VARIABLE, str(tmp_path))
    with pytest.raises(
        DiskError, match=r"GITHUB_STEP_SUMMARY: .* cannot be written: Is a directory"
    ):
        step_summary.publish(RUN)
