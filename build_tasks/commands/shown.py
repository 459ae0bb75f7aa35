"""How answers are shown: as tables for people, as JSON for programs.

Answers go to stdout, everything else to stderr.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from build_tasks.errors import DiskError, ImagesError, of_system
from build_tasks.options import Options
from build_tasks.redaction import redact

if TYPE_CHECKING:
    from build_tasks.figures import Report


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Raise ImagesError for every failure of the operating system; a front end catches no other.

    Names that are not text in this locale are printed as the bytes that they are.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            utf8 = stream.encoding.lower().replace("-", "") == "utf8"
            stream.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")
    try:
        yield
        _flush()
    except OSError as error:
        _flush()
        raise of_system(error) from None


def _flush() -> None:
    """Write what is left of the answer, or say that nobody takes it."""
    try:
        sys.stdout.flush()
    except OSError as error:
        # Python would try once more when it ends, and fail with a traceback.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        kind = ImagesError if isinstance(error, BrokenPipeError) else DiskError
        raise kind(f"the answer cannot be written: {error.strerror}") from None


def say(line: str) -> None:
    """Say one line about what is done; answers alone go to stdout."""
    print(redact(line), file=sys.stderr, flush=True)


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print rows under the names of their columns."""
    from rich.console import Console  # noqa: PLC0415 - start-up time
    from rich.table import Table  # noqa: PLC0415 - start-up time

    made = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        made.add_row(*row)
    # A pipe has no width: what reads it wants whole lines.
    Console(width=None if sys.stdout.isatty() else 1000).print(made)


def figures(report: Report, options: Options) -> None:
    """Print figures as JSON or as tables, and raise what failed after that."""
    if options.flag("json"):
        print(json.dumps(report.data, indent=2))
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
