"""Tables of columns for people. Import it where a table is drawn: rich is slow to import."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from build_tasks.text import escaping


def render(
    columns: Iterable[str], rows: Iterable[Iterable[str]], width: int | None, *, wrap: bool = True
) -> str:
    """Return a table, without control sequences, by default as wide as the terminal.

    Cells that are too long are wrapped, also within words, or cut.
    """
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=not wrap, overflow="fold" if wrap else "ellipsis")
    for row in rows:
        # Text, not markup: rich would read `pandas[excel]` as a style and leave it out.
        table.add_row(*(Text(escaping.plain(cell)) for cell in row))
    buffer = io.StringIO()
    Console(file=buffer, width=width, color_system=None, force_terminal=False).print(table)
    return buffer.getvalue()


def cut(line: str, width: int) -> str:
    """Return one line of at most so many columns, without control sequences."""
    text = Text(_plain(line))
    text.truncate(width, overflow="ellipsis")
    return text.plain


def wrapped(line: str, width: int, indent: int) -> list[str]:
    """Return one line as several of at most so many columns, without control sequences.

    All but the first are indented.
    """
    lines = textwrap.wrap(
        _plain(line), width, subsequent_indent=" " * indent, break_on_hyphens=False
    )
    return [cut(part, width) for part in lines]


def _plain(line: str) -> str:
    return " ".join(escaping.plain(line).splitlines())
