"""BuildKit's events as they are, for other programs."""

from __future__ import annotations

from build_tasks import console
from build_tasks.errors import ImagesError
from build_tasks.history.events import Line, redacted
from build_tasks.history.vertex import StepEvent
from build_tasks.progress.base import Row
from build_tasks.progress.plain import Lines
from build_tasks.text import escaping


class Events(Lines):
    """Prints each line of buildx, and our own messages."""

    def line(self, name: str, line: Line) -> None:
        """Print a line."""
        console.write(f"{escaping.terminal(redacted(line))}\n")
        super().line(name, line)

    def show_start(self, name: str, text: str) -> None:
        """Print what a build makes."""
        self.show(name, text)

    def show_began(self, row: Row) -> None:
        """Print nothing."""

    def show_step(self, name: str, event: StepEvent) -> None:
        """Print nothing: the event itself is printed."""

    def show_ended(self, row: Row, error: ImagesError | None) -> None:
        """Print the outcome if there are several builds."""
        if len(self.rows) > 1:
            super().show_ended(row, error)
