"""Records as JSON, in this version of the suite and others.

A file has one record, `{"schema": 1, "identity": ...}`, or several,
`{"schema": 1, "builds": [...]}`.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from build_tasks.history.record import SCHEMA, BuildRecord, CacheUse, Reuse, Step, StepKind

#: The largest number of seconds or bytes.
_MAX = 2**63
#: The types of the fields.
_HINTS = {kind: typing.get_type_hints(kind) for kind in (BuildRecord, Step, CacheUse, Reuse)}


def to_text(record: BuildRecord) -> str:
    """Return a record as compact JSON."""
    # asdict copies everything, which takes longer than all of the encoding.
    return json.dumps({"schema": SCHEMA, **vars(record)}, default=vars, separators=(",", ":"))


def to_report(records: Iterable[BuildRecord]) -> dict[str, Any]:
    """Return several records as data for JSON."""
    return {"schema": SCHEMA, "builds": [asdict(record) for record in records]}


def of_bytes(content: bytes) -> tuple[list[BuildRecord], int]:
    """Return the records in a file, and its schema if that is newer than ours, else 0.

    Missing fields have their defaults, unknown ones are ignored.

    Raises:
        ValueError: it has no record.
    """
    try:
        data = json.loads(content)
        if not isinstance(data, dict) or type(data.get("schema")) is not int:
            raise ValueError("it has no schema")
        builds = data.get("builds", [data])
        if not isinstance(builds, list):
            raise ValueError("its builds are not a list")  # noqa: TRY004 - an error in a file
        records = [_decoded(BuildRecord, build) for build in builds]
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not all(record.identity for record in records):
        raise ValueError("a record without an identity")
    return records, data["schema"] if data["schema"] > SCHEMA else 0


def _decoded(kind: Any, value: Any) -> Any:
    """Return a value of JSON as the type of a field; raise ValueError if it is of another type."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(value, dict) and (hints := _HINTS.get(kind)):
        known = {name: item for name, item in value.items() if name in hints}
        return kind(**{name: _decoded(hints[name], item) for name, item in known.items()})
    if origin is types.UnionType:  # X | None, the only one
        return None if value is None else _decoded(inside[0], value)
    if origin is tuple and isinstance(value, list):
        kinds = inside[:1] * len(value) if inside[-1] is Ellipsis else inside
        return tuple(_decoded(each, item) for each, item in zip(kinds, value, strict=True))
    if origin is dict and isinstance(value, dict):
        return {key: _decoded(inside[1], item) for key, item in value.items()}
    if kind is StepKind and isinstance(value, str):
        return StepKind(value)
    kind = origin or kind
    if type(value) not in ((float, int) if kind is float else (kind,)):
        raise ValueError(f"{type(value).__name__} in place of {kind.__name__}")
    if isinstance(value, float | int) and not abs(value) <= _MAX:
        raise ValueError(f"a number beyond {_MAX:g}")
    return value
