"""The events of all builds as BuildKit writes them, for programs that read them."""

from __future__ import annotations

from build_tasks import console
from build_tasks.history.events import read, redacted
from build_tasks.progress.plain import Lines
from build_tasks.progress.row import View
from build_tasks.text import escaping


class Events(Lines):
    """Prints whatever a build says, a line at a time and whole."""

    def line(self, name: str, text: str) -> None:
        """Print a line and follow it."""
        console.write(f"{escaping.terminal(redacted(read(text)))}\n")
        super().line(name, text)

    def show(self, row: View, text: str, *, whole: bool = False) -> None:
        """Print what is no event."""
        if whole:
            super().show(row, text, whole=True)
