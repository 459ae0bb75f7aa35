"""A table on the terminal with a row for each build, redrawn while they run."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self, TextIO, cast

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from build_tasks.console import Stderr, redirected
from build_tasks.history import vertex_names
from build_tasks.progress.base import Display, Row
from build_tasks.text import escaping
from build_tasks.text.formatting import duration, shorten

#: Redraws per second.
RATE = 4
#: Seconds that a terminal has to take the last drawing.
PATIENCE = 5.0
#: Lines of the terminal that are not rows: the header, the total, and a free one.
_RESERVED = 3
_STYLES = {
    "built": "green",
    "failed": "red",
    "cancelled": "yellow",
    "retrying": "yellow",
    "building": "cyan",
}
#: The order in which rows are kept if the terminal is too low for all.
_URGENCY = ("building", "retrying", "failed", "cancelled", "waiting", "skipped", "built")
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


class LiveTable(Display):
    """Draws the table on stderr, in a thread of its own.

    Only that thread writes to the terminal: builds put their messages into a queue, and do not
    wait. The table is erased at the end; a table of the outcomes takes its place.
    """

    shows_start = False

    def __init__(self, logs: Path, *, console: Console | None = None, **options: Any) -> None:
        super().__init__(logs, **options)
        self.console = console or Console(file=cast("TextIO", Stderr()))
        self._began = time.monotonic()
        self._drawn: list[int] = []  # the columns of each line of the table
        self._messages: SimpleQueue[str] = SimpleQueue()
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._draw_until_finished, daemon=True)
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._thread.start()
        self._exits.enter_context(redirected(self._messages.put))
        return self

    def __exit__(self, *error: object) -> None:
        self._exits.close()
        self._finished.set()
        self._thread.join(PATIENCE)
        if not self._thread.is_alive():  # else the terminal does not take anything
            cursor = _SHOW_CURSOR if self.console.is_terminal else ""
            self._write(self._erase() + self._new_messages() + cursor)
        self.close()

    def result(self, name: str, text: str) -> None:
        """Write to the log what a build made; the table of the outcomes shows it."""
        if not self.console.is_terminal:
            super().result(name, text)
            return
        with self._lock:
            self.log(name).line(text)

    def table(self) -> Table:
        """Return the table, with as many rows as the terminal has lines for."""
        table = Table(
            Column("build", no_wrap=True),
            Column("state", no_wrap=True),
            Column("step", no_wrap=True, justify="right"),
            Column("time", no_wrap=True, justify="right"),
            Column("", no_wrap=True, overflow="ellipsis", ratio=1),
            box=None,
            pad_edge=False,
            expand=True,
            header_style="",
        )
        rows = shown = list(self.rows.values())
        count = max(self.console.height - _RESERVED, 1)
        if len(rows) > count:
            urgent = sorted(rows, key=lambda row: _URGENCY.index(row.state))[: count - 1]
            shown = [row for row in rows if row in urgent]
        for row in shown:
            table.add_row(*_cells(row))
        if len(rows) > len(shown):
            table.add_row(Text(f"and {len(rows) - len(shown)} more", style="dim"))
        return table

    def total(self) -> str:
        """Return the line under the table: `3 done, 2 running, 7 left, 1 min 5 s`."""
        states = Counter(row.state for row in self.rows.values())
        running = states["building"] + states["retrying"]
        done = len(self.rows) - running - states["waiting"] - states["failed"]
        failed = f", {states['failed']} failed" if states["failed"] else ""
        time_ = duration(time.monotonic() - self._began)
        return f"{done} done{failed}, {running} running, {states['waiting']} left, {time_}"

    def _draw_until_finished(self) -> None:
        if self.console.is_terminal:
            self._write(_HIDE_CURSOR)
        while not self._finished.wait(1 / RATE):
            self._draw()

    def _draw(self) -> None:
        """Replace the table, with new messages above it."""
        above = self._erase() + self._new_messages()
        if not self.console.is_terminal:
            self._write(above)
            return
        with self.console.capture() as capture:
            self.console.print(self.table())
            self.console.print(Text(shorten(self.total(), self.console.width), style="dim"))
        lines = [line.rstrip(" ") for line in capture.get().rstrip("\n").split("\n")]
        self._drawn = [cell_len(escaping.without_sequences(line)) for line in lines]
        self._write(above + "".join(f"{line}\n" for line in lines))

    def _erase(self) -> str:
        """Return what erases the table; a terminal that became narrower has wrapped its lines."""
        width = max(self.console.width, 1)
        rows = sum(max(-(-columns // width), 1) for columns in self._drawn)
        self._drawn = []
        return f"\r\x1b[{rows}A\x1b[J" if rows else ""

    def _new_messages(self) -> str:
        return "".join(self._messages.get() for _ in range(self._messages.qsize()))

    def _write(self, text: str) -> None:
        if text:
            self.console.file.write(text)
            self.console.file.flush()


def _cells(row: Row) -> Iterator[Text]:
    progress = row.progress
    yield Text(row.name)
    yield Text(row.state, style=_STYLES.get(row.state, "dim"))
    yield Text(f"{progress.done}/{progress.total}" if progress.total else "")
    seconds = row.seconds or (time.monotonic() - row.began if row.began else 0)
    yield Text(duration(seconds) if seconds else "")
    step = vertex_names.parse(progress.running[-1]).short if progress.running else ""
    yield Text(" ".join(escaping.plain(row.message or step).split()))
