"""What every display does: follow the builds and keep their logs; its kind shows them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from build_tasks.display.log import Log
from build_tasks.display.rows import Row
from build_tasks.errors import ImagesError


class Display:
    """Follows builds that run in threads of their own; one lock keeps their lines whole."""

    #: Whether it wants what buildx says; BuildKit's own display has our stderr otherwise.
    takes_lines = True

    def __init__(self, logs: Path) -> None:
        self.rows: dict[str, Row] = {}
        self.logs = logs
        self._open: dict[str, Log] = {}
        self._lock = threading.RLock()

    def expect(self, names: Sequence[str]) -> None:
        """Hear which builds there will be, in the order in which they are to be shown."""
        self.rows = {name: Row(name) for name in names}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the logs."""
        for log in self._open.values():
            log.close()

    def path(self, name: str) -> Path:
        """Return where the log of a build is."""
        return self.logs / f"{name}.log"

    def began(self, name: str) -> None:
        """Hear that a build begins, for the first time or again."""
        with self._lock:
            self.rows[name].begin(time.monotonic())
            self.show_began(self.rows[name])

    def line(self, name: str, text: str) -> None:
        """Hear a line of a build: an event of BuildKit's, or anything else.

        Args:
            name: the build's identity.
            text: the line.
        """
        try:
            event = json.loads(text) if text.startswith("{") else None
        except ValueError:
            event = None
        with self._lock:
            if isinstance(event, dict):
                self.event(name, event)
            else:
                self.log(name).line(text)

    def event(self, name: str, event: Mapping[str, Any]) -> None:
        """Hear one of BuildKit's events."""
        with self._lock:
            self.log(name).event(event)
            for worth in self.rows[name].take(event):
                self.show(self.rows[name], worth)

    def say(self, name: str, text: str) -> None:
        """Hear a line of the suite's own about a build."""
        with self._lock:
            self.log(name).line(text)
            self.show(self.rows[name], text, whole=True)

    def again(self, name: str, error: ImagesError, seconds: float) -> None:
        """Hear that a build is repeated after so many seconds, and why."""
        with self._lock:
            row = self.rows[name]
            row.state = "pausing"
            row.current = f"{about(name, error)}: once more in {seconds:.1f} s"
            self.log(name).line(row.current)
            self.show(row, row.current, whole=True)

    def ended(self, name: str, state: str, error: ImagesError | None, seconds: float) -> None:
        """Hear how a build ended.

        Args:
            name: the build's identity.
            state: built, failed, skipped or cancelled.
            error: why it failed.
            seconds: what it took.
        """
        with self._lock:
            row = self.rows[name]
            row.state, row.seconds = state, seconds
            row.current = about(name, error) if error else ""
            self.show_ended(row, error)

    def log(self, name: str) -> Log:
        """Return the file with all that a build said."""
        if name not in self._open:
            self._open[name] = Log(self.path(name))
        return self._open[name]

    def show_began(self, row: Row) -> None:
        """Show that a build begins."""

    def show(self, row: Row, text: str, *, whole: bool = False) -> None:
        """Show a line of a build; where it has to be whole it is not shortened."""

    def show_ended(self, row: Row, error: ImagesError | None) -> None:
        """Show how a build ended."""


def about(name: str, error: ImagesError) -> str:
    """Return an error without the name that it begins with."""
    return str(error).removeprefix(f"{name}: ")
