"""Why a step has another cache key than before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest

from build_tasks.history.explain.alignment import Alignment
from build_tasks.history.recipe import Recipe
from build_tasks.inputs import fingerprint
from build_tasks.inputs.dockerfile.inputs import Use
from build_tasks.inputs.dockerfile.semantics import with_stages


class Why(StrEnum):
    """The kinds of causes, in the order in which they are shown."""

    NEW = "new"
    MOVED = "moved"
    GONE = "gone"  # an instruction above the step
    INSTRUCTION = "instruction"
    ARGUMENT = "argument"
    ENVIRONMENT = "environment"
    ORDER = "order"  # of the variables
    BASE = "base"
    CONTENT = "content"  # of a file
    MODE = "mode"  # of a file
    UNFINISHED = "unfinished"  # the previous build did not get to the step
    DISABLED = "disabled"  # --no-cache
    BUILDER = "builder"  # another builder has another cache
    IMPORT = "import"  # a cache that has the step was not read
    LEFT_OUT = "left-out"  # the same, because its registry did not answer
    COLLECTED = "collected"  # the same key as before, and no longer in any cache
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Cause:
    """One reason why a step ran."""

    why: Why
    #: What changed: an instruction's line, an argument, an image, a file, a cache reference.
    what: str = ""
    before: str = ""  # the earlier value
    now: str = ""  # the present value, or the error of what could not be read
    place: str = ""  # the stage of the step above that changed; empty for the step itself


@dataclass(frozen=True)
class Comparison:
    """Two builds and their matched steps."""

    before: Recipe
    now: Recipe
    aligned: Alignment

    def causes(self, use: Use) -> list[Cause]:
        """Return the differences of a step, else of the nearest step above that has some."""
        return self._search(use, "", set())

    def _search(self, start: Use, place: str, seen: set[tuple[str, int]]) -> list[Cause]:
        """Search a step, the steps above it and the stages that they read for differences."""
        use: Use | None = start
        below: Use | None = None
        while use:
            if use.place in seen:
                return []
            seen.add(use.place)
            current = place if use is start else use.stage.name
            causes = self._removed_between(use, below, current) or [*self._own(use, current)]
            for name in use.stages:
                last = next((u for u in reversed(self.now.uses) if u.stage.name == name), None)
                if last and not causes:
                    causes = self._search(last, name, seen)
            if causes:
                return causes
            use, below = use.above, use
        return self._removed_between(None, below, place)

    def _own(self, use: Use, place: str) -> Iterator[Cause]:
        """Yield the differences of a step itself."""
        old, line = self.aligned.pairs.get(use.place), f"line {use.instruction.line}"
        if old is None:
            if moved := self.aligned.moved(use):
                yield Cause(Why.MOVED, line, _above(moved), _above(use), place)
            else:
                yield Cause(Why.NEW, line, now=use.instruction.head, place=place)
            return
        if with_stages(use.meaning, self.aligned.stages) != old.meaning:
            texts = _first_difference(old.instruction.text, use.instruction.text)
            yield Cause(Why.INSTRUCTION, line, *texts, place)
        for word in sorted({*old.state, *use.state}):
            states = old.state.get(word, ""), use.state.get(word, "")
            if states[0] != states[1]:
                yield Cause(Why.INSTRUCTION, word, *states, place)
        yield from self._variables(old, use, place)
        yield from self._base(old, use, place)
        if old.files == use.files:  # another pattern reads other files anyway
            yield from self._files(use, place)

    def _variables(self, old: Use, use: Use, place: str) -> Iterator[Cause]:
        arguments = self.before.arguments | self.now.arguments
        changed = False
        for name in {**use.variables, **old.variables}:
            before, now = old.variables.get(name), use.variables.get(name)
            if before != now:
                changed = True
                why = Why.ARGUMENT if name in arguments else Why.ENVIRONMENT
                yield Cause(why, name, _value(before), _value(now), place)
        orders = ", ".join(old.variables), ", ".join(use.variables)
        if not changed and use.instruction.word == "RUN" and orders[0] != orders[1]:
            yield Cause(Why.ORDER, "", *orders, place)

    def _base(self, old: Use, use: Use, place: str) -> Iterator[Cause]:
        before, now = old.stage.root, use.stage.root
        digests = self.before.digest(before), self.now.digest(now)
        if before != now:
            names = (f"{before}@{digests[0]}".rstrip("@"), f"{now}@{digests[1]}".rstrip("@"))
            yield Cause(Why.BASE, now, *names, place)
        elif now and all(digests) and digests[0] != digests[1]:
            yield Cause(Why.BASE, now, *digests, place)

    def _files(self, use: Use, place: str) -> Iterator[Cause]:
        before, now = self.before.record.files, self.now.record.files
        for path in use.reads(sorted({*before, *now})):
            below = fingerprint.covered(path)
            old_mode, _, old_content = (before.get(path) or before.get(below, "")).partition(" ")
            mode, _, content = (now.get(path) or now.get(below, "")).partition(" ")
            if old_content != content:
                yield Cause(Why.CONTENT, path, old_content, content, place)
            elif old_mode != mode:
                yield Cause(Why.MODE, path, old_mode, mode, place)

    def _removed_between(self, use: Use | None, below: Use | None, place: str) -> list[Cause]:
        """Return the steps that were removed between two that follow each other now."""
        lower = self.aligned.pairs.get(below.place) if below else None
        upper = self.aligned.pairs.get(use.place) if use else None
        if lower is None or (use and upper is None):
            return []
        first = upper.number if upper and upper.stage.name == lower.stage.name else 0
        between = (
            old
            for old in reversed(self.aligned.removed)
            if old.stage.name == lower.stage.name and first < old.number < lower.number
        )
        return [Cause(Why.GONE, old.instruction.head, place=place) for old in between]


def _above(use: Use) -> str:
    """Return the instruction above a step in the same stage, empty if it is the first."""
    same_stage = use.above and use.above.stage == use.stage
    return use.above.instruction.head if use.above and same_stage else ""


def _value(text: str | None) -> str:
    """Return a value as text; an empty one differs from one that is not set."""
    return "" if text is None else text or '""'


def _first_difference(before: str, now: str) -> tuple[str, str]:
    lines = zip_longest(before.splitlines(), now.splitlines(), fillvalue="")
    return next(((old, new) for old, new in lines if old != new), (before, now))
