"""What every display does: follow the builds and keep their logs; its kind shows them.

Builds run in threads of their own. A lock guards the rows and the logs; it is released before
anything is shown, because whoever draws has a lock as well, and may wait for a slow terminal. What
is drawn is a copy (`views`), which needs no lock.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from build_tasks.errors import ImagesError
from build_tasks.history import events
from build_tasks.history.snapshot import SILENT
from build_tasks.progress.logfile import Log
from build_tasks.progress.row import Row, View


class Display:
    """Follows builds; its methods may be called from any thread."""

    #: Whether it wants what buildx says; BuildKit's own display has our stderr otherwise.
    takes_lines = True

    def __init__(self, logs: Path) -> None:
        self.rows: dict[str, Row] = {}
        #: The rows as they are drawn: each is replaced as a whole.
        self.views: dict[str, View] = {}
        self.logs = logs
        self._open: dict[str, Log] = {}
        self._lock = threading.Lock()
        self._warned = False  # that logs cannot be written

    def expect(self, names: Sequence[str]) -> None:
        """Hear which builds there will be, in the order in which they are to be shown."""
        self.rows = {name: Row(name) for name in names}
        self.views = {name: row.view() for name, row in self.rows.items()}

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
        with self._change(name) as row:
            row.begin(time.monotonic())
        self.show_began(self.views[name])

    def line(self, name: str, text: str) -> None:
        """Hear a line of a build: an event of BuildKit's, or anything else.

        Args:
            name: the build's identity.
            text: the line.
        """
        event = events.parsed(text)
        if event is None and text.startswith(SILENT):
            self.say(name, text)
        elif event is None:
            with self._lock:
                self.log(name).line(text)
        else:
            self.event(name, event)

    def event(self, name: str, event: Mapping[str, Any]) -> None:
        """Hear one of BuildKit's events."""
        with self._change(name) as row:
            self.log(name).event(event)
            worth = row.take(event)
        for text in worth:
            self.show(self.views[name], text)

    def say(self, name: str, text: str) -> None:
        """Hear a line of the suite's own about a build."""
        with self._lock:
            self.log(name).line(text)
        self.show(self.views[name], text, whole=True)

    def again(self, name: str, error: ImagesError, seconds: float) -> None:
        """Hear that a build is repeated after so many seconds, and why."""
        text = f"{about(name, error)}: once more in {seconds:.1f} s"
        with self._change(name) as row:
            row.state, row.current = "pausing", text
            self.log(name).line(text)
        self.show(self.views[name], text, whole=True)

    def ended(self, name: str, state: str, error: ImagesError | None, seconds: float) -> None:
        """Hear how a build ended.

        Args:
            name: the build's identity.
            state: built, failed, skipped or cancelled.
            error: why it failed.
            seconds: what it took.
        """
        with self._change(name) as row:
            row.state, row.seconds = state, seconds
            row.current = about(name, error) if error else ""
            log = self._open.get(name)
            problem = "" if self._warned or not log else log.problem
            self._warned = self._warned or bool(problem)
        if problem:
            self.show(self.views[name], problem, whole=True)
        self.show_ended(self.views[name], error)

    def log(self, name: str) -> Log:
        """Return the file with all that a build said."""
        if name not in self._open:
            self._open[name] = Log(self.path(name))
        return self._open[name]

    @contextlib.contextmanager
    def _change(self, name: str) -> Iterator[Row]:
        """Yield a row to change, under the lock, and replace what is drawn of it."""
        with self._lock:
            row = self.rows[name]
            yield row
            self.views[name] = row.view()

    def show_began(self, row: View) -> None:
        """Show that a build begins."""

    def show(self, row: View, text: str, *, whole: bool = False) -> None:
        """Show a line of a build; where it has to be whole it is not shortened."""

    def show_ended(self, row: View, error: ImagesError | None) -> None:
        """Show how a build ended."""


def about(name: str, error: ImagesError) -> str:
    """Return an error without the name that it begins with."""
    return str(error).removeprefix(f"{name}: ")
