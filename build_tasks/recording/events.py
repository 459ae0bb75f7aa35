"""Read BuildKit's events from what buildx writes, as it comes.

With `--progress rawjson` buildx writes one JSON object for each `client.SolveStatus` of BuildKit,
in one line (buildx 0.13: indented, in many), and everything else that it has to say among them.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from build_tasks.redaction import redact_known

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
                yield Said(whole, _parsed(whole))
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


def _parsed(text: str) -> Event | None:
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def read(text: str) -> Said:
    """Return a line of buildx and the event that it is, if it is one."""
    return Said(text, _parsed(text) if text.startswith("{") else None)


def redacted(said: Said) -> str:
    """Return a line of buildx as a program wants it: whole, but without known secrets.

    What only looks like a secret stays, so that an event is as BuildKit wrote it.
    """
    if said.event is None:
        return redact_known(said.text)
    clean = _without_secrets(said.event)
    # As BuildKit wrote it where there is nothing to hide.
    return said.text if clean == said.event else json.dumps(clean, separators=(",", ":"))


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
