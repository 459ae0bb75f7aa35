"""Why steps missed the cache, as data and as lines of text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from build_tasks.explain.causes import Cause, Why

#: Causes of one step that are told; the rest are counted.
SHOWN = 5
_WIDTH = 72


@dataclass(frozen=True)
class Miss:
    """One step that ran, though a build before had made it, and not because of another step.

    Args:
        step: the step, like `main 6/10`.
        text: its instruction, as BuildKit shows it.
        line: the line of the Dockerfile, 0 where that is not known.
        causes: why; any of them would do.
        consequences: the steps that ran because this one did.
    """

    step: str
    text: str
    line: int
    causes: tuple[Cause, ...]
    consequences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """What one build did again, and why.

    Args:
        identity: the build's name.
        since: when the build began that it is compared with; empty if there is none.
        ran: the number of steps that ran.
        steps: the number of all steps.
        misses: the first steps that missed, one for each branch of the graph.
    """

    identity: str
    since: str
    ran: int
    steps: int
    misses: tuple[Miss, ...] = ()

    @property
    def data(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return {"schema": 1, **asdict(self)}


def lines(found: Explanation) -> list[str]:
    """Return an explanation as lines of text; none if nothing missed."""
    if not found.ran:
        return []
    count = f"{found.ran} of {found.steps} steps ran"
    if not found.since:
        return [f"{found.identity}: {count}: there is no build before to compare with"]
    said = [f"{found.identity}: {count} again since the build of {found.since}"]
    for why, misses in groupby(found.misses, key=lambda miss: miss.causes):
        for miss in misses:
            where = f", line {miss.line}" if miss.line else ""
            after = f"; then {', '.join(miss.consequences)}" if miss.consequences else ""
            said.append(f"  {miss.step}{where}: {_short(miss.text)}{after}")
        said += [f"    {_sentence(cause)}" for cause in why[:SHOWN]]
        if len(why) > SHOWN:
            said.append(f"    and {len(why) - SHOWN} more")
    return said


def _sentence(cause: Cause) -> str:
    what, was, now = cause.what, _short(cause.before), _short(cause.now)
    said = {
        Why.NEW: f"the instruction at {what} is new",
        Why.INSTRUCTION: f"the instruction changed, {what}: {was!r} -> {now!r}",
        Why.ARGUMENT: f"argument {what}: {was!r} -> {now!r}",
        Why.ENVIRONMENT: f"environment {what}: {was!r} -> {now!r}",
        Why.BASE: f"base image {what} moved: {cause.before} -> {cause.now}",
        Why.CONTENT: f"file {what}: {'changed' if was and now else 'is new' if now else 'is gone'}",
        Why.MODE: f"file {what}: mode {was} -> {now}",
        Why.UNFINISHED: f"the build before did not finish it ({what})",
        Why.DISABLED: "the cache was not to be used (--cache disabled)",
        Why.BUILDER: f"another builder, with a cache of its own: {was} -> {now}",
        Why.IMPORT: f"the cache {what} was not read: {cause.now}",
        Why.LEFT_OUT: f"the cache {what} was left out: {cause.now}",
        Why.ABSENT: f"no cache yet: {what} (first build of this branch)",
        Why.COLLECTED: "the same as before, and in no cache any more: pruned or collected"
        + (f", and not in {what}" if what else ""),
        Why.UNKNOWN: "something that the records do not show, like a value that is a secret",
    }[cause.why]
    return f"above it, in {cause.place}: {said}" if cause.place else said


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 3]}..."
