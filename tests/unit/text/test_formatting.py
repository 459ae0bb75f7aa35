"""Formats for people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from build_tasks.text import formatting


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (10, "10 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (120, "2 min"),
        (3599.4, "59 min 59 s"),
        (3600, "1 h"),
        (7384, "2 h 3 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert formatting.duration(seconds) == text


@pytest.mark.parametrize(("width", "text"), [(9, "a  b\nc d e"), (7, "a b\nc def"), (1, "ab")])
def test_a_shortened_text_is_one_line_that_fits(width: int, text: str) -> None:
    line = formatting.shorten(text, width)
    assert len(line) <= width
    assert "\n" not in line


def test_counts_agree_in_number() -> None:
    assert [formatting.plural(number, "build") for number in (0, 1, 2)] == [
        "0 builds",
        "1 build",
        "2 builds",
    ]


def test_a_list_of_choices() -> None:
    assert formatting.listed(["a", 1]) == "a, 1"


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (None, "unknown"),
        (timedelta(seconds=-5), "now"),
        (timedelta(seconds=50), "50 s ago"),
        (timedelta(minutes=3), "3 min ago"),
        (timedelta(days=9), "9 d ago"),
    ],
)
def test_ages(ago: timedelta | None, text: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert formatting.age(None if ago is None else now - ago, now) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1500, "1.5 kB"), (2_008_317, "2.008 MB"), (3 * 10**12, "3 TB")],
)
def test_sizes(count: int, text: str) -> None:
    assert formatting.size(count) == text


@pytest.mark.parametrize(
    ("before", "now", "both"),
    [
        ("a", "b", ("a", "b")),
        ("", "x" * 13, ("", "xxxxxxxxxxxx...")),
        ("a,b,c,d,e,f,g", "a,b,c,d,e,f,g,h", ("...,f,g", "...,f,g,h")),
        ("a,b,c,d,e,f,g", "b", ("a,b,c,d,e,f,...", "b")),
    ],
)
def test_two_texts_are_cut_around_their_first_difference(
    before: str, now: str, both: tuple[str, str]
) -> None:
    assert formatting.around_difference(before, now, 12) == both
