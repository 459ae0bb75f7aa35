"""Tables of columns for people. Import it where a table is drawn: rich is slow to import."""

from __future__ import annotations

import io
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from build_tasks.text import escaping


def render(
    columns: Iterable[str], rows: Iterable[Iterable[str]], width: int | None, *, wrap: bool = True
) -> str:
    """Return a table, without control sequences.

    Args:
        columns: the headings.
        rows: the cells of each row.
        width: columns of the longest line; None for the terminal's.
        wrap: wrap cells that are too long; else cut them.
    """
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=not wrap)
    for row in rows:
        # Text, not markup: rich would read `pandas[excel]` as a style and leave it out.
        table.add_row(*(Text(escaping.plain(cell)) for cell in row))
    buffer = io.StringIO()
    Console(file=buffer, width=width, color_system=None, force_terminal=False).print(table)
    return buffer.getvalue()


def cut(line: str, width: int) -> str:
    """Return one line of at most so many columns, without control sequences."""
    text = Text(" ".join(escaping.plain(line).splitlines()))
    text.truncate(width, overflow="ellipsis")
    return text.plain
