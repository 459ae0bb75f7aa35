"""How answers are shown: as tables for people, as JSON for programs.

Answers go to stdout, everything else to stderr.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from build_tasks import console
from build_tasks.config.options import Options
from build_tasks.errors import from_os_error
from build_tasks.text import escaping

if TYPE_CHECKING:
    from build_tasks.storage.figures import Report


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Raise ImagesError for every failure of the operating system; a front end catches no other.

    Names that are not text in this locale are printed as the bytes that they are.
    """
    console.configure_encoding()
    try:
        yield
        console.flush()
    except OSError as error:
        raise from_os_error(error) from None


def say(line: str) -> None:
    """Say one line about what is done; answers alone go to stdout."""
    console.message(line)


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print rows under the names of their columns."""
    from rich.console import Console  # noqa: PLC0415 - start-up time
    from rich.table import Table  # noqa: PLC0415 - start-up time
    from rich.text import Text  # noqa: PLC0415 - start-up time

    made = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        # Text, not markup: rich would read `pandas[excel]` as a style and leave it out.
        made.add_row(*(Text(escaping.plain(cell)) for cell in row))
    # A pipe has no width: what reads it wants whole lines.
    drawn = io.StringIO()
    width = None if console.stdout_is_terminal() else 1000
    Console(file=drawn, width=width, force_terminal=False).print(made)
    console.answer(drawn.getvalue(), end="")


def figures(report: Report, options: Options) -> None:
    """Print figures as JSON or as tables, and raise what failed after that."""
    if options.flag("json"):
        console.answer(json.dumps(report.data, indent=2))
    else:
        for columns, rows in report.tables:
            table(columns, rows)
        for line in report.notes:
            say(line)
    if report.failed:
        raise report.failed


def plain(value: object) -> object:
    """Return a value as JSON has it."""
    return dict(value) if isinstance(value, Mapping) else value


def text(value: object) -> str:
    """Return a value as people read it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {item}" for key, item in value.items())
    return (
        ", ".join(map(str, value))
        if isinstance(value, tuple | list)
        else ""
        if value is None
        else str(value)
    )
