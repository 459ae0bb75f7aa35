from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from build_tasks.storage import cache_records
from build_tasks.storage.cache_records import Record

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)

# As buildx 0.29 and 0.13 print the same.
NEW = """\
ID:           child
Parents:
 - base
 - other
Created at:   2026-11-24 21:19:11.416221573 +0000 UTC
Mutable:      true
Reclaimable:  false
Shared:       false
Size:         2.008MB
Description:  mount / from exec /bin/sh -c echo Size: 9GB
Usage count:  3
Last used:    2 minutes ago
Type:         regular

ID:           base
Mutable:      false
Reclaimable:  true
Shared:       true
Size:         0B
Description:  pulled
Usage count:  0
Type:         frontend

Shared:       0B
Private:      2.008MB
Reclaimable:  0B
Total:        2.008MB
"""
OLD = NEW.replace("Parents:\n - base\n - other", "Parents:\tbase;other").replace(":  ", ":\t\t")

FOUND = [
    Record("child", "regular", 2_008_000, False, True, ("base", "other"), NOW),
    Record("base", "frontend", 0, True, False, (), None),
]


@pytest.mark.parametrize("text", [NEW, OLD])
def test_what_buildx_prints_is_read(text: str) -> None:
    assert cache_records.parse_text(text, NOW + timedelta(minutes=2)) == FOUND
    assert cache_records.total(FOUND) == 2_008_000


def test_a_record_that_was_not_measured_counts_nothing() -> None:
    first, _ = cache_records.parse_text(NEW.replace("2.008MB\nDesc", "-1B\nDesc"), NOW)
    assert (first.id, first.size) == ("child", 0)


def test_nothing_is_nothing() -> None:
    assert cache_records.parse_text("Total:\t0B\n", NOW) == []
    assert cache_records.parse_api({"BuildCache": None}) == []


@pytest.mark.parametrize("answer", [None, [], {"message": "no"}])
def test_what_is_no_answer_is_told_apart(answer: object) -> None:
    with pytest.raises(ValueError, match="no build cache"):
        cache_records.parse_api(answer)


@pytest.mark.parametrize("parents", ["Parents", " Parents"])
def test_what_the_api_says_is_exact(parents: str) -> None:
    entry = {
        "ID": "child",
        parents: ["base"],
        "Type": "",
        "InUse": False,
        "Shared": True,
        "Size": 2008317,
        "CreatedAt": "2026-11-24T21:21:53.695166401Z",
        "LastUsedAt": "2026-11-24T12:00:00.250000499Z",
        "UsageCount": 3,
    }
    never = {"ID": "n", "Type": "internal", "InUse": True, "Shared": False, "Size": -1}
    assert cache_records.parse_api({"BuildCache": [entry, {**never, "LastUsedAt": None}]}) == [
        Record(
            *("child", "regular", 2008317, True, False, ("base",)),
            NOW + timedelta(seconds=0.25),
        ),
        Record("n", "internal", 0, False, True, (), None),
    ]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0B", 0),
        ("4.096kB*", 4096),
        ("2.008MB", 2_008_000),
        ("1.5GB", 1_500_000_000),
        ("20 GB", 20_000_000_000),
        ("5GiB", 5 * 1024**3),
        ("1.024e+03MB", 1_024_000_000),
        ("500", 500),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert cache_records.size(text) == size


@pytest.mark.parametrize("text", ["", "many", "1XB", "-3GB", "1.2.3MB"])
def test_what_is_no_size_is_told_apart(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        cache_records.size(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Less than a second ago", 0),
        ("1 second ago", 1),
        ("About a minute ago", 60),
        ("About an hour ago", 3600),
        ("36 hours ago", 36 * 3600),
        ("3 weeks ago", 21 * 86400),
        ("2 years ago", 730 * 86400),
    ],
)
def test_ages_are_read(text: str, seconds: int) -> None:
    (one,) = cache_records.parse_text(f"ID: x\nSize: 1B\nLast used: {text}\n", NOW)
    assert one.used == NOW - timedelta(seconds=seconds)
