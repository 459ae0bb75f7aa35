"""Decode the progress events of BuildKit from the output of buildx, while it is written.

With `--progress rawjson`, buildx writes each `client.SolveStatus` of BuildKit as one line of JSON
(buildx 0.13: as an indented object on several lines). Its own messages stand between them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from build_tasks.text.formatting import timestamp
from build_tasks.text.redaction import redact_known

#: Bytes that are kept of one line, or of one indented event. BuildKit splits events at 1 MiB.
MAX_BYTES = 16 * 1024 * 1024
T = TypeVar("T")
#: Fields whose text is base64.
_BASE64 = frozenset({"data", "short", "detail"})


@dataclass(frozen=True, slots=True)
class Vertex:
    """The state of a vertex of the build graph; times are seconds since 1970."""

    digest: str
    name: str = ""  # its own name, or the one of its progress group
    inputs: tuple[str, ...] = ()
    started: float | None = None
    completed: float | None = None
    cached: bool = False
    error: str = ""
    group: str = ""  # the id of its progress group, such as the one of a `COPY --link`
    weak: bool = False  # it is shown only if another vertex of its group starts


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
    """A line of buildx's output."""

    text: str
    events: tuple[Event, ...] | None = None  # its events; None for a plain message
    #: The JSON object that they were decoded from.
    status: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)


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
    return Line(
        text,
        tuple(
            make(entry)
            for name, make in _MAKERS.items()
            for entry in _field(status, name, list)
            if isinstance(entry, dict)
        ),
        status,
    )


def redacted(line: Line) -> str:
    """Return the text of a line without known secrets.

    Only known values are hidden, not what merely looks like a secret: programs read these events.
    """
    if line.events is None:
        return redact_known(line.text)
    clean = _without_secrets(line.status)
    return line.text if clean == line.status else json.dumps(clean, separators=(",", ":"))


def _vertex(entry: dict[str, Any]) -> Vertex:
    group = _field(entry, "progressGroup", dict)
    return Vertex(
        _field(entry, "digest", str),
        _field(group, "name", str) or _field(entry, "name", str),
        tuple(map(str, _field(entry, "inputs", list))),
        _time(entry, "started"),
        _time(entry, "completed"),
        bool(entry.get("cached")),
        _field(entry, "error", str),
        _field(group, "id", str),
        bool(group.get("weak")),
    )


def _field(entry: dict[str, Any], name: str, kind: type[T]) -> T:
    """Return the value of a field, or an empty one if it is of another type."""
    value = entry.get(name)
    return value if isinstance(value, kind) else kind()


def _time(entry: dict[str, Any], name: str) -> float | None:
    return timestamp(_field(entry, name, str))


def _base64(data: str) -> str:
    try:
        return base64.b64decode(data).decode(errors="replace")
    except ValueError:
        return ""


#: Makes the events of each list of a SolveStatus.
_MAKERS: Mapping[str, Callable[[dict[str, Any]], Event]] = {
    "vertexes": _vertex,
    "statuses": lambda entry: VertexStatus(
        _field(entry, "id", str), _field(entry, "vertex", str), _field(entry, "current", int)
    ),
    "logs": lambda entry: VertexLog(
        _field(entry, "vertex", str), _base64(_field(entry, "data", str))
    ),
    "warnings": lambda entry: VertexWarning(_base64(_field(entry, "short", str))),
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
