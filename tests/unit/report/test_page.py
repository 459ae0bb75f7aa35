"""The page: it shows what the records have, loads nothing, and takes any text."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import records
from hostile_records import ANY, evil
from hypothesis import given, settings
from hypothesis import strategies as st

from build_tasks.history.record import BuildRecord, CacheUse, Step, StepKind
from build_tasks.report import page

RUN = records.run()


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
