"""A line for what is worth one, for pipes and logs: each begins with the build that it is about."""

from __future__ import annotations

from pathlib import Path

from build_tasks import console
from build_tasks.errors import ImagesError
from build_tasks.progress.base import Display
from build_tasks.progress.row import View
from build_tasks.text.formatting import duration, shorten
from build_tasks.text.redaction import redact


class Lines(Display):
    """Prints lines to stderr."""

    def __init__(self, logs: Path, *, width: int) -> None:
        super().__init__(logs)
        self._width = width

    def show_began(self, row: View) -> None:
        """Say that a build begins."""
        if row.attempts == 1:
            self.show(row, "begins")

    def show(self, row: View, text: str, *, whole: bool = False) -> None:
        """Print one line."""
        line = redact(f"{row.name}: {text}")
        console.message(line if whole else shorten(line, self._width))

    def show_ended(self, row: View, error: ImagesError | None) -> None:
        """Say how a build ended."""
        steps = f", {row.cached} of {row.total} steps cached" if row.total else ""
        when = "in" if row.state == "built" else "after"
        after = f" {when} {duration(row.seconds)}" if row.attempts else ""
        self.show(row, f"{row.state}{after}{f': {row.current}' if error else steps}", whole=True)
