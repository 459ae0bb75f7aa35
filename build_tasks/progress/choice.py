"""Which display several builds get."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from build_tasks import console
from build_tasks.progress.base import Display
from build_tasks.progress.plain import Lines
from build_tasks.progress.rawjson import Events
from build_tasks.progress.single import Alone

#: Columns of a line where there is no terminal that has some, unless COLUMNS says otherwise.
WIDTH = 120


def display(progress: str, logs: Path, *, several: bool) -> Display:
    """Return the display of a run.

    Args:
        progress: what a person asked for: auto, plain, tty, quiet or rawjson.
        logs: the folder for what each build says.
        several: there is more than one build.
    """
    terminal = console.stderr_is_terminal() and os.environ.get("TERM") != "dumb"
    if not several:
        return Alone(logs)
    if progress == "quiet":
        return Display(logs)
    if progress == "rawjson":
        return Events(logs, width=WIDTH)
    if progress == "tty" or (progress == "auto" and terminal):
        from build_tasks.progress.live_table import LiveTable  # noqa: PLC0415 - start-up time

        return LiveTable(logs)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        from build_tasks.progress.github import GitHub  # noqa: PLC0415 - start-up time

        return GitHub(logs, width=WIDTH)
    return Lines(logs, width=columns())


def columns() -> int:
    """Return how many columns stderr has."""
    return _own() if console.stderr_is_terminal() else shutil.get_terminal_size((WIDTH, 24)).columns


def _own() -> int:
    try:
        return os.get_terminal_size(2).columns
    except OSError:  # it is none
        return WIDTH
