"""The whole of what a build said, in a file, in the form of BuildKit's plain display."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from build_tasks.history import events
from build_tasks.text import escaping
from build_tasks.text.redaction import redact

#: Lines that are kept in memory, and characters of a line whose end has not come.
LAST = 100
LONGEST = 64 * 1024


class Log:
    """A file that grows with the build; people may look at it while it runs.

    A file that cannot be written is given up: the build is worth more than its log.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        #: A warning that the file cannot be written; empty while it can.
        self.problem = ""
        self._last: deque[str] = deque(maxlen=LAST)
        self._numbers: dict[str, int] = {}
        self._said: set[tuple[str, str]] = set()
        self._rest: dict[str, str] = {}
        self._file: TextIO | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8", errors="surrogateescape", buffering=1)
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """End the file."""
        if self._file:
            try:
                self._file.close()
            except OSError as error:
                self._give_up(error)

    def line(self, text: str) -> None:
        """Write what is no event."""
        line = escaping.plain(redact(text), keep_bytes=True)
        self._last.append(line)
        if self._file:
            try:
                self._file.write(f"{line}\n")
            except OSError as error:
                self._give_up(error)

    def event(self, event: Mapping[str, Any]) -> None:
        """Write what one of BuildKit's events says."""
        for vertex in event.get("vertexes") or ():
            self._vertex(vertex)
        for entry in event.get("logs") or ():
            self._output(str(entry.get("vertex", "")), events.text_of(entry.get("data")))
        for warning in event.get("warnings") or ():
            self.line(f"WARNING: {events.text_of(warning.get('short'))}")

    def tail(self, count: int) -> list[str]:
        """Return the last lines, at most LAST."""
        return [*self._last][-count:]

    def lines(self) -> list[str]:
        """Return all lines; the last ones where the file does not have all of them."""
        if not self.problem:
            try:
                return (
                    self.path.read_text(encoding="utf-8", errors="replace")
                    .removesuffix("\n")
                    .split("\n")
                )
            except (OSError, ValueError):  # somebody has removed or changed it
                pass
        return [*self._last]

    def _give_up(self, error: OSError) -> None:
        self.problem = f"warning: {self.path}: the log cannot be written: {error.strerror}"
        file, self._file = self._file, None
        if file:
            with contextlib.suppress(OSError):  # it writes once more what it has not written
                file.close()

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
            took = events.seconds(vertex["completed"]) - events.seconds(vertex["started"])
            self._once(digest, f"DONE {took:.1f}s")

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
        if len(self._rest[digest]) > LONGEST:
            self._flush(digest)

    def _flush(self, digest: str) -> None:
        if self._rest.get(digest):
            self._output(digest, "\n")

    def _number(self, digest: str) -> str:
        return f"#{self._numbers.setdefault(digest, len(self._numbers) + 1)}"
