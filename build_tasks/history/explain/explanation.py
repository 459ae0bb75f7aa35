"""Why steps missed the cache, as data and as lines of text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from build_tasks.history.explain.causes import Cause, Why
from build_tasks.text.formatting import shorten

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
            said.append(f"  {miss.step}{where}: {shorten(miss.text, _WIDTH)}{after}")
        said += [f"    {_sentence(cause)}" for cause in why[:SHOWN]]
        if len(why) > SHOWN:
            said.append(f"    and {len(why) - SHOWN} more")
    return said


def _sentence(cause: Cause) -> str:
    what, was, now = cause.what, shorten(cause.before, _WIDTH), shorten(cause.now, _WIDTH)
    said = {
        Why.NEW: f"the instruction at {what} is new",
        Why.MOVED: f"the instruction at {what} moved: it followed {_named(was)}, now {_named(now)}",
        Why.GONE: f"an instruction above it was removed: {shorten(what, _WIDTH)}",
        Why.INSTRUCTION: f"the instruction changed, {what}: {_both(cause.before, cause.now)}",
        Why.ARGUMENT: f"argument {what}: {_set(was)} -> {_set(now)}",
        Why.ENVIRONMENT: f"environment {what}: {_set(was)} -> {_set(now)}",
        Why.ORDER: f"the order of the variables: {was} -> {now}",
        Why.BASE: f"base image {what} moved: {cause.before} -> {cause.now}",
        Why.CONTENT: f"file {what}: {'changed' if was and now else 'is new' if now else 'is gone'}",
        Why.MODE: f"file {what}: mode {was} -> {now}",
        Why.UNFINISHED: f"no earlier build finished it (the last one: {what})",
        Why.DISABLED: "the cache was not to be used (--cache disabled)",
        Why.BUILDER: f"another builder, with a cache of its own: {was} -> {now}",
        Why.IMPORT: f"unchanged, but the cache {what}, which has it, was not read: {cause.now}",
        Why.LEFT_OUT: f"unchanged, but the cache {what}, which has it, was left out: {cause.now}",
        Why.COLLECTED: "unchanged, but not in the builder's cache any more: pruned or collected"
        + (f"; not in {what}" if what else "")
        + (f"; not read: {now}" if now else ""),
        Why.UNKNOWN: "unknown: nothing that the records of the two builds hold is different",
    }[cause.why]
    return f"above it, in {cause.place}: {said}" if cause.place else said


def _set(value: str) -> str:
    return {"": "not set", '""': "''"}.get(value, repr(value))


def _named(instruction: str) -> str:
    return instruction or "the beginning of the stage"


def _both(before: str, now: str) -> str:
    """Return two texts, or what is around the first difference of long ones."""
    if max(len(before), len(now)) > _WIDTH:
        pairs = zip(before, now, strict=False)
        same = next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(before), len(now)))
        start = max(same - _WIDTH // 3, 0)
        before, now = _window(before, start), _window(now, start)
    return f"{before!r} -> {now!r}"


def _window(text: str, start: int) -> str:
    end = start + _WIDTH
    return f"{'...' if start else ''}{text[start:end]}{'...' if len(text) > end else ''}"
