"""Decode the progress events of BuildKit from the output of buildx, while it is written.

With `--progress rawjson`, buildx writes each `client.SolveStatus` of BuildKit as one line of JSON
(buildx 0.13: as an indented object on several lines). Its own messages stand between them.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from build_tasks.text.redaction import redact_known

#: Bytes that are kept of one line, or of one indented event. BuildKit splits events at 1 MiB.
MAX_BYTES = 16 * 1024 * 1024
#: Fields whose text is base64.
_BASE64 = frozenset({"data", "short", "detail"})


@dataclass(frozen=True, slots=True)
class Group:
    """The progress group of a vertex, such as the one of a `COPY --link`."""

    id: str
    name: str = ""
    weak: bool = False


@dataclass(frozen=True, slots=True)
class Vertex:
    """The state of a vertex of the build graph; times are seconds since 1970."""

    digest: str
    name: str = ""
    inputs: tuple[str, ...] = ()
    started: float | None = None
    completed: float | None = None
    cached: bool = False
    error: str = ""
    group: Group | None = None


@dataclass(frozen=True, slots=True)
class VertexStatus:
    """The progress of one transfer of a vertex, in bytes."""

    id: str
    vertex: str
    current: int


@dataclass(frozen=True, slots=True)
class VertexLog:
    """A piece of a vertex's output, which may end in the middle of a line."""

    vertex: str
    text: str


@dataclass(frozen=True, slots=True)
class VertexWarning:
    """A warning of BuildKit's build checks."""

    text: str


Event = Vertex | VertexStatus | VertexLog | VertexWarning


@dataclass(frozen=True, slots=True)
class Line:
    """A line of buildx's output, with its events; None for a plain message."""

    text: str
    events: tuple[Event, ...] | None = None


class Decoder:
    """Splits a stream, which may be cut anywhere, into lines and events."""

    def __init__(self) -> None:
        self._partial = bytearray()
        self._object: list[str] = []  # the lines of an indented event
        self._object_size = 0

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """Yield the lines that are complete."""
        first, *others = chunk.split(b"\n")
        self._append(first)
        for piece in others:
            text = self._partial.decode(errors="replace").rstrip("\r")
            self._partial.clear()
            self._append(piece)
            yield from self._decode(text)

    def end(self) -> Iterator[Line]:
        """Yield what is left at the end of the stream, even if it is incomplete."""
        if self._partial:
            yield from self.feed(b"\n")
        yield from self._release()

    def _append(self, piece: bytes) -> None:
        self._partial += piece[: MAX_BYTES - len(self._partial)]

    def _decode(self, text: str) -> Iterator[Line]:
        if self._object:
            if text.startswith((" ", "\t")):
                self._object_size += len(text)
                if self._object_size <= MAX_BYTES:
                    self._object.append(text.strip())
                return
            if text == "}":
                whole = "".join((*self._object, "}"))
                self._object = []
                yield decode(whole)
                return
            yield from self._release()
        if text == "{":
            self._object, self._object_size = ["{"], 0
        elif text:
            yield decode(text)

    def _release(self) -> Iterator[Line]:
        """Yield the lines of an incomplete object as messages."""
        lines, self._object = self._object, []
        yield from map(Line, lines)


def decode(text: str) -> Line:
    """Decode one line.

    A registry's error may be JSON, too: only an object with one of BuildKit's lists is an event.
    Entries and fields of unexpected types are dropped.
    """
    if not text.startswith("{"):
        return Line(text)
    try:
        status = json.loads(text)
    except (ValueError, RecursionError):
        return Line(text)
    if status and not _MAKERS.keys() & status.keys():
        return Line(text)
    events = [_MAKERS[name](entry) for name in _MAKERS for entry in _entries(status, name)]
    return Line(text, tuple(events))


def redacted(line: Line) -> str:
    """Return the text of a line without known secrets.

    Only known values are hidden, not what merely looks like a secret: programs read these events.
    """
    if line.events is None:
        return redact_known(line.text)
    status = json.loads(line.text)
    clean = _without_secrets(status)
    return line.text if clean == status else json.dumps(clean, separators=(",", ":"))


def seconds(timestamp: str) -> float:
    """Return the seconds since 1970 of a timestamp of Go: RFC 3339 with nanoseconds.

    Raises:
        ValueError: it is not a timestamp.
    """
    whole, rest = timestamp[:19], timestamp[19:]
    digits = rest[1:].rstrip("Z") if rest.startswith(".") else ""
    if rest.endswith("Z") and (digits.isdecimal() or rest == "Z"):
        return _epoch(whole) + (float(f"0.{digits}") if digits else 0.0)
    return datetime.fromisoformat(timestamp).timestamp()


@functools.lru_cache(maxsize=64)
def _epoch(whole: str) -> float:
    return datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp()


def _entries(status: dict[str, Any], name: str) -> list[dict[str, Any]]:
    entries = status.get(name)
    return [item for item in entries if isinstance(item, dict)] if isinstance(entries, list) else []


def _vertex(entry: dict[str, Any]) -> Vertex:
    inputs, group = entry.get("inputs"), entry.get("progressGroup")
    return Vertex(
        _text(entry, "digest"),
        _text(entry, "name"),
        tuple(map(str, inputs)) if isinstance(inputs, list) else (),
        _time(entry, "started"),
        _time(entry, "completed"),
        bool(entry.get("cached")),
        _text(entry, "error"),
        Group(_text(group, "id"), _text(group, "name"), bool(group.get("weak")))
        if isinstance(group, dict)
        else None,
    )


def _text(entry: dict[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""


def _integer(entry: dict[str, Any], name: str) -> int:
    value = entry.get(name)
    return value if isinstance(value, int) else 0


def _time(entry: dict[str, Any], name: str) -> float | None:
    try:
        return seconds(_text(entry, name))
    except (ValueError, OverflowError, OSError):
        return None


def _base64(data: str) -> str:
    try:
        return base64.b64decode(data).decode(errors="replace")
    except (binascii.Error, ValueError):
        return ""


#: Makes the events of each list of a SolveStatus.
_MAKERS: Mapping[str, Callable[[dict[str, Any]], Event]] = {
    "vertexes": _vertex,
    "statuses": lambda entry: VertexStatus(
        _text(entry, "id"), _text(entry, "vertex"), _integer(entry, "current")
    ),
    "logs": lambda entry: VertexLog(_text(entry, "vertex"), _base64(_text(entry, "data"))),
    "warnings": lambda entry: VertexWarning(_base64(_text(entry, "short"))),
}


def _without_secrets(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _without_secrets(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item, key) for item in value]
    if not isinstance(value, str):
        return value
    if key in _BASE64:
        text = _base64(value)
        clean = redact_known(text)
        return value if clean == text else base64.b64encode(clean.encode()).decode()
    return redact_known(value)
