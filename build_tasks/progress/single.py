"""A single build with little of our own: BuildKit's own display, or nothing but the result."""

from __future__ import annotations

from build_tasks import console
from build_tasks.progress.base import Display
from build_tasks.progress.plain import Messages


class BuildKitDisplay(Messages):
    """Leaves stderr to BuildKit's own display, and prints our messages before and after it."""

    takes_events = False

    def show_start(self, name: str, text: str) -> None:
        """Print what the build makes."""
        self.show(name, text)


class Quiet(Display):
    """Prints warnings, and the result of a single build."""

    def show(self, name: str, text: str) -> None:
        """Print a warning."""
        if text.startswith("warning: "):
            console.message(f"{name}: {text}")

    def result(self, name: str, text: str) -> None:
        """Print the result of a single build; several have a table at the end."""
        super().result(name, text)
        if len(self.rows) == 1:
            console.message(f"{name}: {text}")
