"""Reports: each form says what the records say, takes any text, and keeps its bounds."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import records
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.cells import cell_len

from build_tasks.errors import DiskError
from build_tasks.history import journal
from build_tasks.history.record import BuildRecord, CacheUse, Step, StepKind
from build_tasks.report import documents, facts, page, step_summary, terminal

RUN = records.run()
FAILED = next(one for one in RUN if one.outcome == "failed")
#: What is meant to break a form, in one text.
EVIL = (
    "</script><script>alert(1)</script> --> ]]> & \" ' <b>| `x` ```` \x1b[31mred\x1b[0m \x00\x08 "
    "{{ 7 * 7 }} [link](x) @someone #1 \ud800 \ufffe"
)


def evil() -> BuildRecord:
    """Return a record with that text wherever a text can stand."""
    step = Step("d", EVIL, StepKind.STEP, EVIL, EVIL, 2, 3, log=(EVIL, EVIL), error=EVIL)
    step = replace(step, started=True, intervals=((1.0, 5.0), (6.0, 7.0)))
    return BuildRecord(
        *(
            EVIL,
            EVIL,
            EVIL,
            EVIL,
            EVIL,
            9.0,
            "failed",
            EVIL,
            EVIL,
            EVIL,
            EVIL,
            (EVIL,),
            EVIL,
            (EVIL,),
            EVIL,
        ),
        output=EVIL,
        builder=EVIL,
        command=EVIL,
        base=(EVIL, EVIL),
        steps=(step,),
        imports=(CacheUse(EVIL, EVIL),),
        export=CacheUse(EVIL, EVIL),
        warnings=(EVIL,),
    )


TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
ANY = st.builds(
    BuildRecord,
    identity=TEXT,
    began=TEXT | st.just("2026-11-24T02:17:04+00:00"),
    seconds=st.floats(min_value=0, max_value=1e6),
    outcome=st.sampled_from(["built", "failed", "cancelled", "skipped"]),
    failure=TEXT,
    message=TEXT,
    kind=TEXT,
    platforms=st.lists(TEXT, max_size=2).map(tuple),
    digest=TEXT,
    steps=st.lists(
        st.builds(
            Step,
            digest=TEXT,
            name=TEXT,
            kind=st.sampled_from(StepKind),
            stage=TEXT,
            number=st.integers(0, 20),
            started=st.booleans(),
            cached=st.booleans(),
            error=TEXT,
            log=st.lists(TEXT, max_size=3).map(tuple),
            intervals=st.lists(
                st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)).map(
                    lambda two: (min(two), max(two))
                ),
                max_size=3,
            ).map(tuple),
        ),
        max_size=4,
    ).map(tuple),
    imports=st.lists(st.builds(CacheUse, reference=TEXT, error=TEXT), max_size=2).map(tuple),
)


class Page(HTMLParser):
    """The elements of a page, and the texts of one class."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def of(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


# --- facts


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


# --- the terminal


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


# --- GitHub


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


def test_a_cache_that_was_never_written_is_no_problem() -> None:
    uses = (CacheUse("r/a:x", "r/a:x: not found"), CacheUse("r/b:x", "no\nanswer", left_out=True))
    assert facts.cache_problems(BuildRecord("x", imports=uses)) == [
        "cache not read: r/b:x: no answer"
    ]


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


# --- JUnit


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


# --- the browser


def test_the_page_has_a_row_for_each_build_and_a_mark_for_each_interval() -> None:
    text = page.html(RUN)
    rows = [one for one in Page(text).of("li") if one.get("data-name")]
    assert [one["data-name"] for one in rows] == [one.identity for one in RUN]
    marks = [one for one in Page(text).of("button") if "mark" in (one.get("class") or "")]
    assert len(marks) == sum(len(step.intervals) for one in RUN for step in one.steps)
    assert {(one["class"] or "").split()[1] for one in marks} == {
        "ran",
        "cached",
        "moved",
        "failed",
        "lost",
    }
    assert len(text.encode()) < 1_000_000


def test_the_page_loads_nothing() -> None:
    made = Page(page.html(RUN))
    assert not made.of("link")
    assert not made.of("img")
    assert not [one for _, one in made.tags if one.get("src") or (one.get("href") or "#")[0] != "#"]
    (policy,) = [one for one in made.of("meta") if one.get("http-equiv")]
    assert (policy["content"] or "").startswith(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-"
    )


def test_the_page_escapes_any_text() -> None:
    text = page.html([evil(), evil()])
    made = Page(text)
    assert len(made.of("script")) == 1
    assert len(made.of("b")) == 7  # the page's own: six figures, one instruction
    assert "alert(1)" in text
    assert "<script>alert" not in text
    assert "{{ 7 * 7 }}" in text
    assert "\x1b" not in text
    text.encode()


def test_a_sequence_of_the_terminal_ends_with_its_value() -> None:
    record = BuildRecord("x\x1b]0;", kind="y\x07", python="z")
    text = page.html([record])
    assert 'data-name="x0;" data-kind="y" data-python="z"' in text


@given(st.lists(ANY, max_size=2))
@settings(deadline=None, max_examples=30)
def test_the_page_can_be_made_of_any_records(some: list[BuildRecord]) -> None:
    made = Page(page.html(some))
    assert len([one for one in made.of("li") if "data-name" in one]) == len(some)
    assert len(made.of("script")) == 1


def test_concurrent_steps_have_lanes() -> None:
    def step(*interval: tuple[float, float]) -> Step:
        return Step(str(interval), "x", StepKind.STEP, started=True, intervals=interval)

    record = BuildRecord("x", seconds=9, steps=(step((0, 4)), step((1, 2), (3, 5)), step((4, 6))))
    marks, lanes = page.marks(record)
    assert [(mark.begin, mark.lane) for mark in marks] == [(0, 0), (1, 1), (3, 1), (4, 0)]
    assert lanes == 2
    many = BuildRecord("x", steps=tuple(step((0, number)) for number in range(1, 9)))
    marks, lanes = page.marks(many)
    assert (lanes, max(mark.lane for mark in marks), len(marks)) == (4, 3, 8)


@pytest.mark.parametrize(
    ("span", "step", "last"),
    [
        (0, 1, 1),
        (9.4, 1, 9),
        (47, 5, 45),
        (886, 120, 840),
        (86_400, 14_400, 86_400),
        (9e6, 9e5, 9e6),
    ],
)
def test_an_axis_has_few_lines_at_round_times(span: float, step: float, last: float) -> None:
    axis = page.axis(span)
    assert (axis.step, axis.ticks[-1]) == (step, last)
    assert len(axis.ticks) <= 11


def test_filters_are_only_for_choices() -> None:
    names = [name for name, _, _ in page._filters(RUN)]
    assert names == ["kind", "python", "platform", "outcome"]
    pythons = next(values for name, _, values in page._filters(RUN) if name == "python")
    assert pythons == [*records.PYTHONS]
    assert page._filters(RUN[:1]) == []


def test_a_page_can_have_no_builds() -> None:
    assert "<title>0 builds" in page.html([])


@pytest.mark.parametrize(
    ("outcomes", "tile"),
    [
        (("built", "skipped"), "2 of 2 all built"),
        (("built", "failed", "cancelled", "cancelled"), "1 of 4 1 failed, 2 cancelled"),
    ],
)
def test_the_first_tile_counts_the_images(outcomes: tuple[str, ...], tile: str) -> None:
    text = page.html([BuildRecord(str(n), outcome=one) for n, one in enumerate(outcomes)])
    (first, *_) = re.findall(r'<div class="tile.*?">(.*?)</div>', text)
    assert " ".join(re.sub(r"<[^>]+>", " ", first).split()) == tile


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


def test_the_documentation_names_every_key_and_bound() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "reports.md").read_text(encoding="utf-8")
    build, step = text.partition("| key of a step |")[::2]
    keys = {
        key for line in build.partition("| key of a build |")[2].splitlines() for key in _keys(line)
    }
    assert keys == {one.name for one in fields(BuildRecord)}
    keys = {key for line in step.splitlines() for key in _keys(line)}
    assert keys == {one.name for one in fields(Step)}
    assert f"| number of builds | {journal.KEEP_BUILDS}:" in text
    assert f"| size | {journal.KEEP_BYTES // 1024**2} MiB in all |" in text
    assert f"| age | {journal.KEEP_SECONDS / 86400:.0f} days |" in text
    one = next(one for one in RUN if one.identity == "prod-3.11-arm64")
    assert terminal.summary([one], 100) in text


def _keys(line: str) -> list[str]:
    return re.findall(r"`(\w+)`", line.split("|")[1]) if line.startswith("| `") else []


def test_a_cache_that_was_never_written_is_not_lost() -> None:
    error = "r/a:x: not found"
    step = Step("d", "importing cache manifest from r/a:x", StepKind.IMPORT, error=error)
    step = replace(step, started=True, intervals=((0.0, 0.1),))
    record = BuildRecord("x", steps=(step,), imports=(CacheUse("r/a:x", error),))
    (mark,), _ = page.marks(record)
    assert mark.state == "absent"
    assert mark.about == "importing cache manifest from r/a:x\nno cache yet 0.1 s, at 0.0 s"
    text = page.html([record])
    assert "<b>0</b><span>cache problems</span>" in text
    assert 'class="key lost"' not in text


def test_the_title_names_what_all_builds_share() -> None:
    record = BuildRecord("x", run="r1", branch="main", commit="0ee8818e53ea" * 3, builder="cached")
    assert page._title([record, record]) == "r1 · main · 0ee8818e53ea · builder cached"
    other = replace(record, branch="v3", builder="default")
    assert page._title([record, other]) == "r1 · 0ee8818e53ea"
    assert page._title([BuildRecord("x")]) == "1 build: 1 built"


def test_a_build_that_just_ended_has_a_few_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = terminal.brief(FAILED)
    assert lines[0] == "steps    1 ran, 4 cached, of 9"
    assert lines[1] == "slowest  4 min 39 s [main 6/10] install…"
    assert not [line for line in lines if line.startswith("failure")]
    assert max(map(len, lines)) <= 40
