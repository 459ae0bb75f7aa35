"""Read BuildKit's events from what buildx writes, as it comes.

With `--progress rawjson` buildx writes one JSON object for each `client.SolveStatus` of BuildKit,
in one line (buildx 0.13: indented, in many), and everything else that it has to say among them.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from build_tasks.text.redaction import redact_known

Event = dict[str, Any]

#: Bytes of one line, or of one event in many, that are kept; BuildKit splits its own at 1 MiB.
LONGEST = 16 * 1024 * 1024


#: Fields of an event whose text is base64.
_BASE64 = frozenset({"data", "short", "detail"})


class Said(NamedTuple):
    """One line of buildx: its text, and the event that it is, if it is one."""

    text: str
    event: Event | None = None


class Decoder:
    """Makes lines and events of a stream that is cut anywhere, and keeps no more than one."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []  # of a line whose end has not come
        self._size = 0
        self._open: list[str] = []  # the lines of an event in many
        self._size_of_open = 0

    def feed(self, chunk: bytes) -> Iterator[Said]:
        """Yield what is whole by now.

        Args:
            chunk: the next bytes, of any number.
        """
        first, *others = chunk.split(b"\n")
        self._keep(first)
        for line in others:
            whole = b"".join(self._rest)
            self._rest, self._size = [], 0
            self._keep(line)
            yield from self._line(whole.decode(errors="replace").rstrip("\r"))

    def end(self) -> Iterator[Said]:
        """Yield what is left where the stream ends, which may be in the middle of an event."""
        yield from self.feed(b"\n") if self._rest else ()
        yield from self._given_up()

    def _keep(self, piece: bytes) -> None:
        if piece and self._size < LONGEST:
            self._rest.append(piece[: LONGEST - self._size])
            self._size += len(self._rest[-1])

    def _line(self, text: str) -> Iterator[Said]:
        if self._open:
            if text.startswith((" ", "\t")):
                self._size_of_open += len(text)
                if self._size_of_open <= LONGEST:
                    self._open.append(text.strip())
                return
            if text == "}":
                whole = "".join((*self._open, "}"))
                self._open = []
                yield read(whole)
                return
            yield from self._given_up()
        if text == "{":
            self._open, self._size_of_open = ["{"], 0
        elif text:
            yield read(text)

    def _given_up(self) -> Iterator[Said]:
        """Yield the lines that looked like the beginning of an event, as they were."""
        lines, self._open = self._open, []
        for line in lines:
            yield Said(line)


def parsed(text: str) -> Event | None:
    """Return the event that a line is, None if it is none.

    A registry's error is JSON, too: only what has one of BuildKit's lists counts. Entries and
    fields of other types than BuildKit's are left out.
    """
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if found and not _FIELDS.keys() & found.keys():
        return None
    return {
        name: [_entry(one, types) for one in found[name] if isinstance(one, dict)]
        for name, types in _FIELDS.items()
        if isinstance(found.get(name), list)
    }


def _entry(given: Event, types: Mapping[str, Callable[[Any], bool]]) -> Event:
    return {name: given[name] for name, fits in types.items() if fits(given.get(name))}


def _is_time(value: object) -> bool:
    try:
        return isinstance(value, str) and seconds(value) is not None
    except (ValueError, OverflowError, OSError):
        return False


def _is_group(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str | bool) for item in value.values())


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int)


#: The lists of a SolveStatus (client/graph.go), and the fields of their entries that are read.
_FIELDS: Mapping[str, Mapping[str, Callable[[Any], bool]]] = {
    "vertexes": {
        "digest": _is_text,
        "name": _is_text,
        "inputs": _are_texts,
        "started": _is_time,
        "completed": _is_time,
        "cached": _is_number,
        "error": _is_text,
        "progressGroup": _is_group,
    },
    "statuses": {"id": _is_text, "vertex": _is_text, "current": _is_number},
    "logs": {"vertex": _is_text, "data": _is_text},
    "warnings": {"short": _is_text},
}


def read(text: str) -> Said:
    """Return a line of buildx and the event that it is, if it is one."""
    return Said(text, parsed(text))


def redacted(said: Said) -> str:
    """Return a line of buildx as a program wants it: whole, but without known secrets.

    What only looks like a secret stays, so that an event is as BuildKit wrote it.
    """
    if said.event is None:
        return redact_known(said.text)
    whole = json.loads(said.text)
    clean = _without_secrets(whole)
    # As BuildKit wrote it where there is nothing to hide.
    return said.text if clean == whole else json.dumps(clean, separators=(",", ":"))


def _without_secrets(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _without_secrets(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item, key) for item in value]
    if not isinstance(value, str):
        return value
    if key in _BASE64:
        text = text_of(value)
        clean = redact_known(text)
        return value if clean == text else base64.b64encode(clean.encode()).decode()
    return redact_known(value)


def text_of(data: object) -> str:
    """Return the text in a field that Go wrote as bytes: base64."""
    try:
        return base64.b64decode(str(data or "")).decode(errors="replace")
    except binascii.Error:
        return ""


def seconds(stamp: str) -> float:
    """Return the seconds since 1970 of a time as Go writes it: RFC 3339 with nanoseconds.

    Raises:
        ValueError: it is no such time.
    """
    whole, rest = stamp[:19], stamp[19:]
    digits = rest[1:].rstrip("Z") if rest.startswith(".") else ""
    if rest.endswith("Z") and (digits.isdecimal() or rest == "Z"):
        return _epoch(whole) + (float(f"0.{digits}") if digits else 0.0)
    return datetime.fromisoformat(stamp).timestamp()


@functools.lru_cache(maxsize=64)
def _epoch(whole: str) -> float:
    return datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp()
