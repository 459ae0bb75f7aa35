"""The explanation of a build, as data and as lines of text."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from build_tasks.history import vertex_names
from build_tasks.history.explain.causes import Cause, Why
from build_tasks.text.formatting import around_difference, shorten

#: Causes of one step that are shown; the rest are counted.
SHOWN = 5
_WIDTH = 72
#: What a person does not need of a time in UTC: `.498941+00:00`.
_FRACTION = re.compile(r"(?:\.\d+)?\+00:00$")


@dataclass(frozen=True)
class Miss:
    """A step that ran although an earlier build had run it, and not because of another step."""

    step: str  # the step, like `main 6/10`
    text: str  # its instruction, as BuildKit shows it
    line: int  # its line in the Dockerfile, 0 where that is not known
    causes: tuple[Cause, ...]  # why; each of them would be enough
    consequences: tuple[str, ...] = ()  # the steps that ran because this one did


@dataclass(frozen=True)
class Explanation:
    """Which steps of a build ran again, and why."""

    identity: str
    since: str  # when the build began that it is compared with; empty if there is none
    ran: int  # the number of steps that ran
    steps: int
    #: The first steps that missed the cache, one for each branch of the graph.
    misses: tuple[Miss, ...] = ()
    #: Which image was taken instead of a build, or why none was; empty if none could be.
    reuse: tuple[str, ...] = ()

    @property
    def data(self) -> dict[str, Any]:
        """The explanation in JSON's types."""
        return {"schema": 1, **asdict(self)}


def lines(explanation: Explanation) -> list[str]:
    """Return an explanation as lines of text; none if no step ran."""
    if not explanation.ran:
        return []
    head = f"{explanation.identity}: {explanation.ran} of {explanation.steps} steps ran"
    if not explanation.since:
        return [f"{head}: there is no earlier build to compare with"]
    since = _FRACTION.sub("Z", explanation.since)
    text = [f"{head} again since the build of {since}"]
    for causes, misses in groupby(explanation.misses, key=lambda miss: miss.causes):
        for miss in misses:
            line = f", line {miss.line}" if miss.line else ""
            then = f"; then {', '.join(miss.consequences)}" if miss.consequences else ""
            name = shorten(vertex_names.parse(miss.text).short, _WIDTH)
            text.append(f"  {miss.step}{line}: {name}{then}")
        text += [f"    {_sentence(cause)}" for cause in causes[:SHOWN]]
        if len(causes) > SHOWN:
            text.append(f"    and {len(causes) - SHOWN} more")
    return text


def _sentence(cause: Cause) -> str:
    what, before, now = cause.what, shorten(cause.before, _WIDTH), shorten(cause.now, _WIDTH)
    different = around_difference(cause.before, cause.now, _WIDTH)
    change = " -> ".join(map(_quoted, different))
    start = "the beginning of the stage"
    file_change = ("changed" if before else "is new") if now else "is gone"
    collected = [
        "unchanged, but no longer in the builder's cache: pruned or collected",
        *([f"not in {what}"] if what else []),
        *([f"not read: {now}"] if now else []),
    ]
    sentence = {
        Why.NEW: f"the instruction at {what} is new",
        Why.MOVED: f"the instruction at {what} moved: before after {before or start}, "
        f"now after {now or start}",
        Why.GONE: f"an instruction above it was removed: {shorten(what, _WIDTH)}",
        Why.INSTRUCTION: f"the instruction changed, {what}: {' -> '.join(map(repr, different))}",
        Why.ARGUMENT: f"argument {what}: {change}",
        Why.ENVIRONMENT: f"environment {what}: {change}",
        Why.ORDER: f"the order of the variables: {before} -> {now}",
        Why.BASE: f"base image {what} moved: {cause.before} -> {cause.now}",
        Why.CONTENT: f"file {what}: {file_change}",
        Why.MODE: f"file {what}: mode {before} -> {now}",
        Why.UNFINISHED: f"no earlier build finished it (the last one: {what})",
        Why.DISABLED: "the cache was disabled",
        Why.BUILDER: f"another builder, with a cache of its own: {before} -> {now}",
        Why.IMPORT: f"unchanged, but the cache {what}, which has it, was not read: {cause.now}",
        Why.LEFT_OUT: f"unchanged, but the cache {what}, which has it, was left out: {cause.now}",
        Why.COLLECTED: "; ".join(collected),
        Why.UNKNOWN: "unknown: the records of the two builds show no difference",
    }[cause.why]
    return f"above it, in {cause.place}: {sentence}" if cause.place else sentence


def _quoted(value: str) -> str:
    return {"": "not set", '""': "''"}.get(value, repr(value))
