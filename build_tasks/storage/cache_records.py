"""The records of a builder's cache, as the Docker API and as buildx report them.

The API has exact bytes and times. buildx prints them for people (up to 0.36): four digits of a
size, at most 0.05 % off, and one or two digits of an age.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

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
_AGE = re.compile(r"(?:(\d+)|an?) (second|minute|hour|day|week|month|year)")
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_SECONDS |= {"month": 30 * 86400, "year": 365 * 86400}
#: A field of a record; newer versions of buildx list the parents on lines of their own.
_FIELD = re.compile(r"^([A-Z][A-Za-z ]*):[ \t]*(.*(?:\n - \S+)*)$", re.MULTILINE)


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
    records = []
    for entry in answer["BuildCache"] or ():
        # Docker 26 to 28 write a space before the key of the parents.
        fields = {key.strip(): value for key, value in entry.items()}
        used = fields.get("LastUsedAt")
        records.append(
            Record(
                id=fields["ID"],
                type=fields["Type"] or "regular",
                size=max(int(fields["Size"]), 0),
                shared=bool(fields["Shared"]),
                in_use=bool(fields["InUse"]),
                parents=tuple(fields.get("Parents") or ()),
                used=datetime.fromisoformat(used) if used else None,
            )
        )
    return records


def parse_text(text: str, now: datetime) -> list[Record]:
    """Return the records that `buildx du --verbose` or `buildx prune --verbose` printed.

    It may be any buildx since 0.13. `now` is when it was printed, since it contains ages.
    """
    records = []
    for entry in re.split(r"^(?=ID:)", text, flags=re.MULTILINE)[1:]:
        # The first value counts: totals with the same names follow the last record.
        fields = dict(reversed(_FIELD.findall(entry)))
        measured = fields.get("Size", "0B")
        age = _age(fields.get("Last used", ""))
        parents = fields.get("Parents") or fields.get("Parent") or ""
        records.append(
            Record(
                id=fields["ID"],
                type=fields.get("Type") or "regular",
                size=0 if measured.startswith("-") else size(measured),  # -1B: not measured yet
                shared=fields.get("Shared") == "true",
                in_use=fields.get("Reclaimable") == "false",
                parents=tuple(filter(None, re.split(r"\n - |[,;\s]+", parents))),
                used=None if age is None else now - age,
            )
        )
    return records


def size(text: str) -> int:
    """Return the bytes of a size like `2.008MB`, `20 GB` or `5GiB`.

    Raises:
        ValueError: it is not a size.
    """
    match = _SIZE.fullmatch(text.strip().rstrip("*"))
    if not match:
        raise ValueError(text)
    power = " KMGTPE".index(match[2].upper() or " ")
    return round(float(match[1]) * float((1024 if match[3] else 1000) ** power))


def total(records: Iterable[Record]) -> int:
    """Return the bytes of some records."""
    return sum(record.size for record in records)


def _age(text: str) -> timedelta | None:
    """Return an age like `3 hours ago`, `About a minute ago` or `Less than a second ago`."""
    match = _AGE.search(text)
    if not match:
        return None
    number = 0 if text.startswith("Less than") else int(match[1] or 1)
    return timedelta(seconds=number * _SECONDS[match[2]])
