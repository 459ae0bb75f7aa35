"""The records of a builder's cache, as the Docker API and as buildx report them.

The API has exact bytes and times. buildx prints them for people (up to 0.36): four digits of a
size, at most 0.05 % off, and one or two digits of an age.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

#: The types of records (client/diskusage.go of BuildKit).
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
_AGE = re.compile(r"(\d+|an?) (second|minute|hour|day|week|month|year)")
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_SECONDS |= {"month": 30 * 86400, "year": 365 * 86400}
_FIELD = re.compile(r"^([A-Z][A-Za-z ]*):[ \t]*(.*)$|^ - (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Record:
    """One record of a cache.

    Args:
        id: its identifier, unique over all nodes.
        type: one of TYPES.
        size: its bytes; 0 while they change.
        shared: whether an image of the engine has the same layer.
        in_use: whether a build, or a record in use, needs it.
        parents: the records that it builds on.
        used: when it was last used; None if never.
    """

    id: str
    type: str
    size: int
    shared: bool
    in_use: bool
    parents: tuple[str, ...] = ()
    used: datetime | None = None


def parse_api(answer: object) -> list[Record]:
    """Return the records in an answer to `/system/df?type=build-cache` (API 1.44).

    Raises:
        ValueError: it is not such an answer.
    """
    if not isinstance(answer, Mapping) or "BuildCache" not in answer:
        raise ValueError("no build cache in the answer")
    return [_from_api(entry) for entry in answer["BuildCache"] or []]


def parse_text(text: str, now: datetime) -> list[Record]:
    """Return the records that `buildx du --verbose` or `buildx prune --verbose` printed.

    Args:
        text: the output of any buildx since 0.13.
        now: when it was printed, since it contains ages.
    """
    entries: list[dict[str, Any]] = []
    for name, value, parent in _FIELD.findall(text):
        if name == "ID":
            entries.append({"ID": value, "Parents": []})
        elif entries and parent:
            entries[-1]["Parents"].append(parent)
        elif entries and name in {"Parent", "Parents"}:
            entries[-1]["Parents"] += re.split(r"[,;\s]+", value.strip()) if value else []
        elif entries:
            entries[-1].setdefault(name, value)  # totals with the same names follow the last record
    return [_from_text(entry, now) for entry in entries]


def size(text: str) -> int:
    """Return the bytes of a size like `2.008MB`, `20 GB` or `5GiB`.

    Raises:
        ValueError: it is not a size.
    """
    match = _SIZE.fullmatch(text.strip().rstrip("*"))
    if not match:
        raise ValueError(text)
    base = 1024 if match[3] else 1000
    return round(float(match[1]) * float(base ** _POWERS[match[2]]))


def total(records: Iterable[Record]) -> int:
    """Return the bytes of some records."""
    return sum(record.size for record in records)


def _from_api(entry: Mapping[str, Any]) -> Record:
    # Docker 26 to 28 write a space before the key of the parents.
    fields = {key.strip(): value for key, value in entry.items()}
    return Record(
        id=fields["ID"],
        type=fields["Type"] or "regular",
        size=max(int(fields["Size"]), 0),
        shared=bool(fields["Shared"]),
        in_use=bool(fields["InUse"]),
        parents=tuple(fields.get("Parents") or ()),
        used=_time(fields["LastUsedAt"]) if fields.get("LastUsedAt") else None,
    )


def _from_text(entry: Mapping[str, Any], now: datetime) -> Record:
    measured = entry.get("Size", "0B")
    age = _age(entry.get("Last used", ""))
    return Record(
        id=entry["ID"],
        type=entry.get("Type") or "regular",
        size=0 if measured.startswith("-") else size(measured),  # -1B: not measured yet
        shared=entry.get("Shared") == "true",
        in_use=entry.get("Reclaimable") == "false",
        parents=tuple(entry["Parents"]),
        used=None if age is None else now - age,
    )


def _time(text: str) -> datetime:
    """Return a time of the API, which has nanoseconds."""
    time = datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text))
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _age(text: str) -> timedelta | None:
    """Return an age like `3 hours ago`, `About a minute ago` or `Less than a second ago`."""
    match = _AGE.search(text)
    if not match:
        return None
    number = int(match[1]) if match[1].isdecimal() else 1
    return timedelta(seconds=0 if "Less than" in text else number * _SECONDS[match[2]])
