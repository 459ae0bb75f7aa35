"""The whole of what a build said, in a file, in the form of BuildKit's plain display."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from build_tasks.redaction import redact

_FRACTION = re.compile(r"\.\d+")


class Log:
    """A file that grows with the build; people may look at it while it runs."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("w", encoding="utf-8", errors="surrogateescape", buffering=1)
        self._numbers: dict[str, int] = {}
        self._said: set[tuple[str, str]] = set()
        self._rest: dict[str, str] = {}

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def line(self, text: str) -> None:
        """Write what is no event."""
        self._file.write(f"{redact(text)}\n")

    def event(self, event: Mapping[str, Any]) -> None:
        """Write what one of BuildKit's events says."""
        for vertex in event.get("vertexes") or ():
            self._vertex(vertex)
        for entry in event.get("logs") or ():
            text = base64.b64decode(entry.get("data") or "").decode(errors="replace")
            self._output(str(entry.get("vertex", "")), text)
        for warning in event.get("warnings") or ():
            text = base64.b64decode(warning.get("short") or "").decode(errors="replace")
            self.line(f"WARNING: {text}")

    def tail(self, count: int) -> list[str]:
        """Return the last lines of the file."""
        return self.path.read_text(encoding="utf-8").splitlines()[-count:]

    def _vertex(self, vertex: Mapping[str, Any]) -> None:
        digest = str(vertex.get("digest", ""))
        if not vertex.get("started"):
            return
        self._once(digest, str(vertex.get("name", "")))
        if vertex.get("error"):
            self._flush(digest)
            self._once(digest, f"ERROR: {vertex['error']}")
        elif vertex.get("cached"):
            self._once(digest, "CACHED")
        elif vertex.get("completed"):
            self._flush(digest)
            self._once(digest, f"DONE {_seconds(vertex):.1f}s")

    def _once(self, digest: str, text: str) -> None:
        """Write a vertex's line; a vertex comes many times, and says the same again."""
        kind = "DONE" if text.startswith("DONE ") else text
        if (digest, kind) not in self._said:
            self._said.add((digest, kind))
            self.line(f"{self._number(digest)} {text}")

    def _output(self, digest: str, text: str) -> None:
        """Write whole lines; what comes is cut anywhere."""
        *lines, self._rest[digest] = (self._rest.get(digest, "") + text).split("\n")
        for line in lines:
            self.line(f"{self._number(digest)} {line.rstrip()}")

    def _flush(self, digest: str) -> None:
        if self._rest.get(digest):
            self._output(digest, "\n")

    def _number(self, digest: str) -> str:
        return f"#{self._numbers.setdefault(digest, len(self._numbers) + 1)}"


def _seconds(vertex: Mapping[str, Any]) -> float:
    from datetime import datetime  # noqa: PLC0415 - start-up time

    # Go writes nanoseconds, and leaves zeros at their end away; Python reads up to microseconds.
    began, ended = (
        datetime.fromisoformat(_FRACTION.sub(lambda found: f"{found[0]:0<7}"[:7], str(vertex[key])))
        for key in ("started", "completed")
    )
    return (ended - began).total_seconds()
