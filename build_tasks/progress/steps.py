"""One build's steps as lines, for pipes and logs: concise, numbered as BuildKit's plain display."""

from __future__ import annotations

from build_tasks import console
from build_tasks.history.events import Said
from build_tasks.history.record import StepKind
from build_tasks.history.snapshot import Moment, StepEvent
from build_tasks.text.formatting import shorten
from build_tasks.text.redaction import redact


class Steps:
    """Prints a line to stderr for what is worth one, none longer than it may be.

    Args:
        width: columns.
    """

    def __init__(self, width: int) -> None:
        self._width = width

    def hear(self, what: StepEvent) -> None:
        """Show what happened to a step."""
        number = f"#{what.number}"
        if what.moment == Moment.WARNING:
            self._print(f"WARNING: {what.text}")
        elif what.moment == Moment.STARTED:
            self._print(f"{number} {what.name}")
        elif what.moment == Moment.CACHED:
            self._print(f"{number} CACHED {what.name}")
        elif what.moment == Moment.DONE:
            # What was not announced when it began is named now.
            name = f" {what.name}" if what.kind is StepKind.BASE else ""
            self._print(f"{number} DONE {what.seconds:.1f}s{name}")
        else:
            for line in what.log:
                self._print(f"{number} | {line}")
            # An import begins and fails at once, so that nothing has named it before.
            name = "" if what.kind is StepKind.STEP else f"{what.name}: "
            self._print(f"{number} ERROR: {name}{what.text}")

    def line(self, said: Said) -> None:
        """Show a line that is no event."""
        if said.event is None:
            self._print(redact(said.text), indented=True)

    def _print(self, text: str, *, indented: bool = False) -> None:
        # A piece of a Dockerfile, or what is drawn with dashes, stays as it is if it can.
        whole = indented and len(text) <= self._width
        shown = text if whole else shorten(text, self._width)
        console.message(shown)
