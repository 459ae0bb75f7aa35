"""Lines of text, for pipes and logs."""

from __future__ import annotations

from pathlib import Path

from build_tasks import console
from build_tasks.errors import ImagesError
from build_tasks.history.events import Line
from build_tasks.history.record import StepKind
from build_tasks.history.vertex import CANCELED, Moment, StepEvent
from build_tasks.progress.base import Display, Row, title
from build_tasks.text.formatting import duration, shorten
from build_tasks.text.redaction import redact

_SHOWN = frozenset({StepKind.STEP, StepKind.BASE, StepKind.IMPORT, StepKind.EXPORT})


class Messages(Display):
    """Prints messages only; lines of more than `width` columns are shortened."""

    def __init__(self, logs: Path, *, width: int = 0, verbose: bool = False) -> None:
        super().__init__(logs, verbose=verbose)
        self._width = width

    def show(self, name: str, text: str) -> None:
        """Print a message."""
        console.message(f"{name}: {text}")

    def _print(self, text: str) -> None:
        console.message(shorten(text, self._width))


class Lines(Messages):
    """Prints a line for each step of several builds, with the build's name in front."""

    def began(self, name: str) -> None:
        """Print that a build begins."""
        super().began(name)
        if self.rows[name].attempts == 1:
            self.show(name, "begins")

    def step(self, name: str, event: StepEvent) -> None:
        """Print what starts to run, and which cache cannot be used."""
        super().step(name, event)
        cache = event.kind in {StepKind.IMPORT, StepKind.EXPORT}
        if event.moment is Moment.STARTED and (
            event.kind is StepKind.STEP or event.name.startswith("exporting ")
        ):
            self._print(f"{name}: {title(event.name)}")
        elif event.moment is Moment.FAILED and cache and not event.text.endswith(CANCELED):
            self._print(f"{name}: {event.name}: {event.text.rpartition(': ')[2]}")

    def ended(self, name: str, state: str, error: ImagesError | None, seconds: float) -> None:
        """Print the outcome of a build."""
        super().ended(name, state, error, seconds)
        self.show(name, outcome(self.rows[name]))


class StepLines(Messages):
    """Prints the steps of a single build, numbered as in BuildKit's plain display."""

    def show_start(self, name: str, text: str) -> None:
        """Print what the build makes."""
        self.show(name, text)

    def step(self, name: str, event: StepEvent) -> None:
        """Print a change of a step, a base image, a cache or an export."""
        super().step(name, event)
        number = f"#{event.number}"
        moment = event.moment
        if moment is Moment.WARNING:
            self._print(f"WARNING: {event.text}")
        elif event.kind not in _SHOWN or moment is Moment.OUTPUT:
            return
        elif moment is Moment.STARTED and event.kind is not StepKind.BASE:
            self._print(f"{number} {title(event.name)}")
        elif moment is Moment.CACHED:
            self._print(f"{number} CACHED {title(event.name)}")
        elif moment is Moment.DONE:
            base = f" {title(event.name)}" if event.kind is StepKind.BASE else ""
            self._print(f"{number} DONE {event.seconds:.1f}s{base}")
        elif moment is Moment.FAILED:
            for line in event.log:
                self._print(f"{number} | {line}")
            error = event.text.rpartition(" did not complete successfully: ")[2]
            self._print(f"{number} ERROR: {title(event.name)}: {error}")

    def line(self, name: str, line: Line) -> None:
        """Print a message of buildx."""
        super().line(name, line)
        if line.events is None:
            # An excerpt of a Dockerfile keeps its indentation if it fits.
            text = redact(line.text)
            console.message(text if len(text) <= self._width else shorten(text, self._width))


def outcome(row: Row) -> str:
    """Return the outcome of a build: `built in 2 min 5 s, 3 of 9 steps cached`."""
    progress = row.progress
    details = f", {progress.cached} of {progress.total} steps cached" if progress.total else ""
    if row.message:
        details = f": {row.message}"
    word = "in" if row.state == "built" else "after"
    return f"{row.state} {word} {duration(row.seconds)}{details}" if row.attempts else row.state
