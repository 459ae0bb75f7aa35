"""Print answers: tables for people, JSON for programs.

Answers go to stdout, everything else to stderr.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping

from build_tasks import console
from build_tasks.config.options import Options
from build_tasks.errors import from_os_error
from build_tasks.text.formatting import UNLIMITED


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Raise ImagesError for every OSError, so that front ends catch one class."""
    console.configure_encoding()
    try:
        yield
        console.flush()
    except OSError as error:
        raise from_os_error(error) from None


def show(
    options: Options, data: object, columns: Iterable[str], rows: Iterable[Iterable[object]]
) -> None:
    """Print the data with `--json`, else a table."""
    if options.flag("json"):
        show_json(data)
    else:
        table(columns, rows)


def show_json(data: object) -> None:
    """Print data as JSON."""
    console.answer(json.dumps(data, indent=2, default=_plain))


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table."""
    from build_tasks.text import tables  # noqa: PLC0415 - rich is slow

    width = None if console.stdout_is_terminal() else UNLIMITED
    cells = (map(_text, row) for row in rows)
    console.answer(tables.render(columns, cells, width), end="")


def _plain(value: object) -> object:
    """Return a value that JSON can contain."""
    return dict(value) if isinstance(value, Mapping) else str(value)


def _text(value: object) -> str:
    """Return a value as text for people."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {item}" for key, item in value.items())
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
