"""Figures about caches: as data for programs, in tables and units for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from build_tasks.errors import ImagesError
from build_tasks.storage import cache_records
from build_tasks.storage.cache_records import TYPES, Record
from build_tasks.text.formatting import size


@dataclass
class Report:
    """Figures, and what could not be found out.

    Args:
        data: everything, with bytes and times as data.
        tables: columns and rows for people.
        notes: lines to go with the tables.
        failed: the first thing that did not answer.
    """

    data: dict[str, Any] = field(default_factory=dict)
    tables: list[tuple[Sequence[str], list[Sequence[str]]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: ImagesError | None = None


def by_type(some: Iterable[Record]) -> Mapping[str, Mapping[str, int]]:
    """Return bytes and number of records for each type that there is."""
    all_of_them = list(some)
    return {
        kind: {"bytes": cache_records.total(of_kind), "records": len(of_kind)}
        for kind in TYPES
        if (of_kind := [record for record in all_of_them if record.type == kind])
    }


def type_rows(some: Iterable[Record]) -> list[Sequence[str]]:
    """Return the same as rows of type, number and size."""
    return [(k, str(f["records"]), size(f["bytes"])) for k, f in by_type(some).items()]
