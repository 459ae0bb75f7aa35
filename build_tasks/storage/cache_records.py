"""The records of a builder's cache, as the Docker API and as buildx tell them.

The API says bytes and times exactly. buildx writes for people, in every version up to 0.36: four
digits of a size, which is at most 0.05 % off, and one or two of an age.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

#: What BuildKit calls the kinds of its records (client/diskusage.go of BuildKit).
TYPES = (
    "regular",
    "source.local",
    "source.git.checkout",
    "exec.cachemount",
    "frontend",
    "internal",
)
_SIZE = re.compile(r"([0-9.]+(?:e\+?[0-9]+)?)\s*([kKMGTPE]?)(i?)B?")
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_AGES = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_AGES |= {"month": 30 * 86400, "year": 365 * 86400}
_FIELD = re.compile(r"^([A-Z][A-Za-z ]*):[ \t]*(.*)$|^ - (\S+)$", re.MULTILINE)
_FRACTION = re.compile(r"(\.[0-9]{6})[0-9]*")


@dataclass(frozen=True)
class Record:
    """One record of a cache.

    Args:
        id: its name, which no other record of any node has.
        type: one of TYPES.
        size: its bytes; 0 while they change.
        shared: an image of the engine's has the same layer.
        in_use: a build, or a record in use, needs it.
        parents: the records that it stands on.
        used: when it was last used; None if never.
        uses: how often it was used.
    """

    id: str
    type: str
    size: int
    shared: bool
    in_use: bool
    parents: tuple[str, ...]
    used: datetime | None
    uses: int


def of_api(answer: object) -> list[Record]:
    """Return the records in an answer to `/system/df?type=build-cache` (API 1.44).

    Raises:
        ValueError: it is no such answer.
    """
    if not isinstance(answer, Mapping) or "BuildCache" not in answer:
        raise ValueError("no build cache in the answer")
    return [_of_api(entry) for entry in answer["BuildCache"] or []]


def of_text(text: str, now: datetime) -> list[Record]:
    """Return the records in what `buildx du --verbose` and `buildx prune --verbose` print.

    Args:
        text: the output of any buildx since 0.13.
        now: when it was printed, because ages stand in it.
    """
    found: list[dict[str, Any]] = []
    for name, value, parent in _FIELD.findall(text):
        if name == "ID":
            found.append({"ID": value, "Parents": []})
        elif found and parent:
            found[-1]["Parents"].append(parent)
        elif found and name in {"Parent", "Parents"}:
            found[-1]["Parents"] += re.split(r"[,;\s]+", value.strip()) if value else []
        elif found:
            found[-1].setdefault(name, value)  # sums of the same names stand below the last record
    return [_of_text(entry, now) for entry in found]


def size(text: str) -> int:
    """Return the bytes of a size like `2.008MB`, `20 GB` or `5GiB`.

    Raises:
        ValueError: it is no size.
    """
    match = _SIZE.fullmatch(text.strip().rstrip("*"))
    if not match:
        raise ValueError(text)
    base = 1024 if match[3] else 1000
    return round(float(match[1]) * float(base ** _POWERS[match[2]]))


def total(records: Iterable[Record]) -> int:
    """Return the bytes of some records."""
    return sum(record.size for record in records)


def _of_api(entry: Mapping[str, Any]) -> Record:
    # Docker 26 to 28 write the key of the parents with a space before it.
    said = {key.strip(): value for key, value in entry.items()}
    return Record(
        id=said["ID"],
        type=said["Type"] or "regular",
        size=max(int(said["Size"]), 0),
        shared=bool(said["Shared"]),
        in_use=bool(said["InUse"]),
        parents=tuple(said.get("Parents") or ()),
        used=_time(said["LastUsedAt"]) if said.get("LastUsedAt") else None,
        uses=int(said.get("UsageCount") or 0),
    )


def _of_text(entry: Mapping[str, Any], now: datetime) -> Record:
    age = _age(entry.get("Last used", ""))
    return Record(
        id=entry["ID"],
        type=entry.get("Type") or "regular",
        size=_measured(entry.get("Size", "0B")),
        shared=entry.get("Shared") == "true",
        in_use=entry.get("Reclaimable") == "false",
        parents=tuple(entry["Parents"]),
        used=None if age is None else now - age,
        uses=int(entry.get("Usage count") or 0),
    )


def _measured(text: str) -> int:
    """Return the size of a record; -1 is BuildKit's for one that it has not measured."""
    return 0 if text.startswith("-") else size(text)


def _time(text: str) -> datetime:
    """Return a time of Go's, whose fractions are finer than Python's."""
    found = datetime.fromisoformat(_FRACTION.sub(r"\1", text))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _age(text: str) -> timedelta | None:
    """Return an age like `3 hours ago`, `About a minute ago` or `Less than a second ago`."""
    found = re.search(r"(\d+|an?) (second|minute|hour|day|week|month|year)", text)
    if not found:
        return None
    number = int(found[1]) if found[1].isdecimal() else 1
    return timedelta(seconds=0 if "Less than" in text else number * _AGES[found[2]])
