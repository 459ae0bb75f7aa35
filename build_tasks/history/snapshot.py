"""What can be told of a build while it runs, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from build_tasks.history.record import StepKind


class Moment(StrEnum):
    """What can happen to a vertex that is worth a line."""

    STARTED = "started"
    CACHED = "cached"
    DONE = "done"
    FAILED = "failed"
    WARNING = "warning"


@dataclass(frozen=True)
class StepEvent:
    """Something worth a line.

    Args:
        moment: what happened.
        number: the vertex's number in this build, from 1.
        name: the vertex's name, redacted.
        kind: what the vertex is.
        seconds: how long it was busy.
        text: why it failed, or the warning.
        log: the last lines of a step that failed.
    """

    moment: Moment
    number: int
    name: str
    kind: StepKind
    seconds: float = 0.0
    text: str = ""
    log: tuple[str, ...] = ()


#: What a line begins with that says what a silent build waits for.
SILENT = "nothing new for "


@dataclass(frozen=True)
class Snapshot:
    """Where a build stands.

    Args:
        total: the steps of the Dockerfile that BuildKit has named so far.
        done: those that are behind it, cached ones among them.
        cached: those that were not executed.
        failed: those that failed.
        running: the names of what it does now, oldest first.
    """

    total: int = 0
    done: int = 0
    cached: int = 0
    failed: int = 0
    running: tuple[str, ...] = ()
