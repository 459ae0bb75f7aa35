"""BuildKit's events as they are, for other programs."""

from __future__ import annotations

from build_tasks import console
from build_tasks.errors import ImagesError
from build_tasks.history.events import Line, redacted
from build_tasks.progress.plain import Messages, outcome
from build_tasks.text import escaping


class Events(Messages):
    """Prints each line of buildx, and our own messages."""

    def show_start(self, name: str, text: str) -> None:
        """Print what a build makes."""
        self.show(name, text)

    def line(self, name: str, line: Line) -> None:
        """Print a line."""
        console.write(f"{escaping.terminal(redacted(line))}\n")
        super().line(name, line)

    def ended(self, name: str, state: str, error: ImagesError | None, seconds: float) -> None:
        """Print the outcome if there are several builds."""
        super().ended(name, state, error, seconds)
        if len(self.rows) > 1:
            self.show(name, outcome(self.rows[name]))
