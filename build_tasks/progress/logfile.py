"""The log of a build: all of its output, in the form of BuildKit's plain display."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from build_tasks.history.vertex import Moment, StepEvent
from build_tasks.text import escaping
from build_tasks.text.redaction import redact

#: Lines that are kept in memory.
MAX_LINES = 100


class Log:
    """A file that is written while the build runs.

    If the file cannot be written, the build goes on without it; `problem` is then a warning.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        self._last: deque[str] = deque(maxlen=MAX_LINES)
        self._named: set[int] = set()
        self._file: TextIO | None = None
        with self._guarded():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8", errors="surrogateescape", buffering=1)

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file:
            with self._guarded():
                file.close()

    def begin(self, command: str) -> None:
        """Write the command of an attempt, whose steps are numbered anew."""
        self._named.clear()
        self.line(f"+ {command}")

    def line(self, text: str) -> None:
        """Write a line, redacted."""
        line = escaping.plain(redact(text), keep_bytes=True)
        self._last.append(line)
        if self._file:
            with self._guarded():
                self._file.write(f"{line}\n")

    def step(self, event: StepEvent) -> None:
        """Write a change of a vertex."""
        if event.moment is Moment.WARNING:
            self.line(f"WARNING: {event.text}")
            return
        number = f"#{event.number}"
        if event.name and event.number not in self._named:
            self._named.add(event.number)
            self.line(f"{number} {event.name}")
        lines = {
            Moment.OUTPUT: event.log,
            Moment.CACHED: ("CACHED",),
            Moment.DONE: (f"DONE {event.seconds:.1f}s",),
            Moment.FAILED: (f"ERROR: {event.text}",),
        }
        for line in lines.get(event.moment, ()):
            self.line(f"{number} {line}")

    def tail(self, count: int) -> list[str]:
        """Return the last lines, at most `MAX_LINES`."""
        return [*self._last][-count:]

    def lines(self) -> list[str]:
        """Return all lines; the last ones if the file is incomplete or gone."""
        if not self.problem:
            with contextlib.suppress(OSError, ValueError):
                text = self.path.read_text(encoding="utf-8", errors="replace")
                return text.removesuffix("\n").split("\n")
        return [*self._last]

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Give the file up if it cannot be written."""
        try:
            yield
        except OSError as error:
            self.problem = f"warning: {self.path}: the log cannot be written: {error.strerror}"
            file, self._file = self._file, None
            if file:
                with contextlib.suppress(OSError):  # it tries to write its buffer once more
                    file.close()
