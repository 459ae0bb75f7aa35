"""The events of all builds as BuildKit writes them, for programs that read them."""

from __future__ import annotations

import sys

from build_tasks.display.lines import Lines
from build_tasks.display.rows import Row
from build_tasks.recording.events import read, redacted


class Events(Lines):
    """Prints whatever a build says, a line at a time and whole."""

    def line(self, name: str, text: str) -> None:
        """Print a line and follow it."""
        with self._lock:
            print(redacted(read(text)), file=sys.stderr, flush=True)
            super().line(name, text)

    def show(self, row: Row, text: str, *, whole: bool = False) -> None:
        """Print what is no event."""
        if whole:
            super().show(row, text, whole=True)
