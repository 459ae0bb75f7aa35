"""Choose the display of a run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from build_tasks import console
from build_tasks.progress.base import WIDTH, Display
from build_tasks.progress.github import GitHub
from build_tasks.progress.plain import BuildKitDisplay, Events, Lines, Quiet, StepLines


def display(progress: str, logs: Path, *, several: bool, verbose: bool = False) -> Display:
    """Return the display of a run of one build or several, for the option `--progress`."""
    kind = _kind(progress, several=several)
    return kind(logs, width=columns(), verbose=verbose)


def _kind(progress: str, *, several: bool) -> type[Display]:
    terminal = console.stderr_is_terminal()
    auto = progress == "auto"
    if progress == "quiet":
        return Quiet
    if progress == "rawjson":
        return Events
    if not several:
        # A person, or the environment, may ask for one of BuildKit's displays.
        own = not auto or terminal or "BUILDKIT_PROGRESS" in os.environ
        return BuildKitDisplay if own else StepLines
    if progress == "tty" or (auto and terminal and os.environ.get("TERM") != "dumb"):
        from build_tasks.progress.live_table import LiveTable  # noqa: PLC0415 - rich is slow

        return LiveTable
    return GitHub if os.environ.get("GITHUB_ACTIONS") == "true" else Lines


def columns() -> int:
    """Return the number of columns of stderr."""
    if not console.stderr_is_terminal():
        return shutil.get_terminal_size((WIDTH, 24)).columns
    try:
        return os.get_terminal_size(2).columns
    except OSError:  # stderr is replaced
        return WIDTH
