"""One build alone: BuildKit's own display has stderr, and the suite adds a line at the end."""

from __future__ import annotations

from build_tasks import console
from build_tasks.errors import ImagesError
from build_tasks.progress.base import Display, about


class Alone(Display):
    """Says what the suite has to say, and leaves the rest to BuildKit."""

    takes_lines = False

    def began(self, name: str) -> None:
        """Say nothing: BuildKit does."""

    def say(self, name: str, text: str) -> None:
        """Print a line of the suite's own."""
        console.message(f"{name}: {text}")

    def again(self, name: str, error: ImagesError, seconds: float) -> None:
        """Say that a build is repeated, and why."""
        self.say(name, f"{about(name, error)}: once more in {seconds:.1f} s")

    def ended(self, name: str, state: str, error: ImagesError | None, seconds: float) -> None:
        """Say nothing: the error is the last line anyway."""
