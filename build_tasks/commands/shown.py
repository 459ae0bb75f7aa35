"""How answers are shown: as tables for people, as JSON for programs.

Answers go to stdout, everything else to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from build_tasks.options import Options
from build_tasks.redaction import redact

if TYPE_CHECKING:
    from build_tasks.figures import Report


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
