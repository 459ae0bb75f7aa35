"""A table that lives while builds run: a row for each, on a terminal of any width."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from build_tasks.display.rows import Row, clock
from build_tasks.display.shown import Display
from build_tasks.redaction import redact

#: Times a second that it is drawn; its clocks run by seconds.
RATE = 4
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
    """Draws the table on stderr."""

    def __init__(self, logs: Path, *, console: Console | None = None) -> None:
        super().__init__(logs)
        self.console = console or Console(stderr=True)
        # Gone at the end: the table of outcomes takes its place.
        self._live = Live(
            get_renderable=self.table,
            console=self.console,
            refresh_per_second=RATE,
            transient=True,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()
        super().__exit__(kind, error, trace)

    def show(self, row: Row, text: str, *, whole: bool = False) -> None:
        """Print above the table what must not be missed."""
        if whole:
            self.console.print(Text(redact(f"{row.name}: {text}")), highlight=False)

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
        with self._lock:
            rows = list(self.rows.values())
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


def _cells(row: Row, *, wide: bool) -> Iterator[Text]:
    yield Text(row.name)
    yield Text(row.state, style=_STYLES.get(row.state, "dim"))
    yield Text(f"{row.done}/{row.total}" if row.total else "")
    if wide:
        yield Text(str(row.cached) if row.total else "")
    seconds = row.seconds or (time.monotonic() - row.began if row.began else 0)
    yield Text(clock(seconds) if seconds else "")
    yield Text(" ".join(row.current.split()))
