"""Choose the display of a run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from build_tasks import console
from build_tasks.progress.base import Display
from build_tasks.progress.github import GitHub
from build_tasks.progress.plain import Lines, StepLines
from build_tasks.progress.rawjson import Events
from build_tasks.progress.single import BuildKitDisplay, Quiet

#: Columns without a terminal, unless COLUMNS says otherwise.
WIDTH = 120


def display(progress: str, logs: Path, *, several: bool, verbose: bool = False) -> Display:
    """Return the display of a run.

    Args:
        progress: the option: auto, plain, tty, quiet or rawjson.
        logs: the folder for the logs.
        several: there is more than one build.
        verbose: show the whole command of each build.
    """
    if progress == "quiet":
        return Quiet(logs, verbose=verbose)
    if progress == "rawjson":
        return Events(logs, width=WIDTH, verbose=verbose)
    return (_several if several else _single)(progress, logs, verbose=verbose)


def _single(progress: str, logs: Path, *, verbose: bool) -> Display:
    # A person, or the environment, may ask for one of BuildKit's displays.
    if progress != "auto" or console.stderr_is_terminal() or "BUILDKIT_PROGRESS" in os.environ:
        return BuildKitDisplay(logs, verbose=verbose)
    return StepLines(logs, width=columns(), verbose=verbose)


def _several(progress: str, logs: Path, *, verbose: bool) -> Display:
    terminal = console.stderr_is_terminal() and os.environ.get("TERM") != "dumb"
    if progress == "tty" or (progress == "auto" and terminal):
        from build_tasks.progress.live_table import LiveTable  # noqa: PLC0415 - rich is slow

        return LiveTable(logs, verbose=verbose)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        return GitHub(logs, width=WIDTH, verbose=verbose)
    return Lines(logs, width=columns(), verbose=verbose)


def columns() -> int:
    """Return the number of columns of stderr."""
    if not console.stderr_is_terminal():
        return shutil.get_terminal_size((WIDTH, 24)).columns
    try:
        return os.get_terminal_size(2).columns
    except OSError:  # stderr is replaced
        return WIDTH
