"""A table that lives while builds run: a row for each, on a terminal of any width."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self, TextIO, cast

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from build_tasks.console import Stderr, message, taken
from build_tasks.progress.base import Display
from build_tasks.progress.row import View
from build_tasks.text import escaping
from build_tasks.text.formatting import duration

#: Times a second that it is drawn; its clocks run by seconds.
RATE = 4
#: Seconds that a terminal has for the last drawing.
PATIENCE = 5.0
#: Lines of the terminal that are not for rows.
_REST = 3
_STYLES = {
    "built": "green",
    "failed": "red",
    "cancelled": "yellow",
    "pausing": "yellow",
    "building": "cyan",
}
#: What is shown where not every row has a place: what moves, then what went wrong.
_URGENT = ("building", "pausing", "failed", "cancelled", "waiting", "skipped", "built")
#: Columns of a terminal under which the cached steps are left out, for what a build does.
_WIDE = 80


class LiveTable(Display):
    """Draws the table on stderr, in a thread of its own.

    That thread alone draws: builds leave their lines in a queue and wait for no terminal.
    """

    def __init__(self, logs: Path, *, console: Console | None = None) -> None:
        super().__init__(logs)
        self.console = console or Console(file=cast("TextIO", Stderr()))
        # Gone at the end: the table of outcomes takes its place.
        self._live = Live(
            get_renderable=self.table,
            console=self.console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._lines: SimpleQueue[str] = SimpleQueue()
        self._over = threading.Event()
        self._drawing = threading.Thread(target=self._draw_until_over, daemon=True)
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._live.start()
        self._drawing.start()
        self._exits.enter_context(taken(self._lines.put))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exits.close()
        self._over.set()
        self._drawing.join(PATIENCE)
        if not self._drawing.is_alive():  # else it is stuck in a terminal that takes nothing
            self._draw()
            self._live.stop()
        super().__exit__(kind, error, trace)

    def _draw_until_over(self) -> None:
        while not self._over.wait(1 / RATE):
            self._draw()

    def _draw(self) -> None:
        """Print what is new above the table, and draw the table."""
        new = []
        with contextlib.suppress(Empty):
            while True:
                new.append(self._lines.get_nowait())
        if new:
            self.console.print(Text("".join(new)), end="", highlight=False)
        else:
            self._live.refresh()

    def show(self, row: View, text: str, *, whole: bool = False) -> None:
        """Print above the table what must not be missed."""
        if whole:
            message(f"{row.name}: {text}")

    def table(self) -> Table:
        """Return the table as it stands, with as many rows as the terminal has place for."""
        width, height = self.console.size
        made = Table(box=None, pad_edge=False, expand=True, show_header=True)
        made.add_column("build", no_wrap=True)
        made.add_column("state", no_wrap=True)
        made.add_column("step", no_wrap=True, justify="right")
        if width >= _WIDE:
            made.add_column("cached", no_wrap=True, justify="right")
        made.add_column("time", no_wrap=True, justify="right")
        made.add_column("", no_wrap=True, overflow="ellipsis", ratio=1)
        rows = list(self.views.values())
        place = max(height - _REST, 1)
        shown = rows
        if len(rows) > place:
            urgent = sorted(rows, key=lambda row: _URGENT.index(row.state))[: place - 1]
            shown = [row for row in rows if row in urgent]
        for row in shown:
            made.add_row(*_cells(row, wide=width >= _WIDE))
        if len(rows) > len(shown):
            made.add_row(Text(f"and {len(rows) - len(shown)} more", style="dim"))
        return made


def _cells(row: View, *, wide: bool) -> Iterator[Text]:
    yield Text(row.name)
    yield Text(row.state, style=_STYLES.get(row.state, "dim"))
    yield Text(f"{row.done}/{row.total}" if row.total else "")
    if wide:
        yield Text(str(row.cached) if row.total else "")
    seconds = row.seconds or (time.monotonic() - row.began if row.began else 0)
    yield Text(duration(seconds) if seconds else "")
    yield Text(" ".join(escaping.plain(row.current).split()))
