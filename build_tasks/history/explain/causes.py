"""Why a step is another one than before: what it stands on, compared between two builds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest

from build_tasks.history.explain.alignment import Alignment
from build_tasks.history.explain.recipe import Recipe
from build_tasks.inputs.dockerfile.inputs import Use
from build_tasks.inputs.dockerfile.semantics import STAGE

#: Between them, everything that a file's fingerprint holds.
_NO_FILE = ("", "")


class Why(StrEnum):
    """The kinds of causes, in the order in which they are told."""

    NEW = "new"  # the instruction was not there
    MOVED = "moved"  # the instruction stood elsewhere
    GONE = "gone"  # an instruction that it stood on is not there any more
    INSTRUCTION = "instruction"
    ARGUMENT = "argument"
    ENVIRONMENT = "environment"
    ORDER = "order"  # of the variables
    BASE = "base"
    CONTENT = "content"  # of a file
    MODE = "mode"  # of a file
    UNFINISHED = "unfinished"  # the build before did not get that far
    DISABLED = "disabled"  # the cache was not to be used
    BUILDER = "builder"  # another one, which has a cache of its own
    IMPORT = "import"  # a cache reference that had it was not read
    LEFT_OUT = "left-out"  # the same, because its registry did not answer
    COLLECTED = "collected"  # the same as before, and no longer in any cache
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Cause:
    """One reason.

    Args:
        why: its kind.
        what: what changed: an instruction's place, an argument, an image, a file, a reference.
        before: what it was.
        now: what it is; for what could not be read, the error.
        place: the step above that it is about; empty if it is the step itself.
    """

    why: Why
    what: str = ""
    before: str = ""
    now: str = ""
    place: str = ""


@dataclass(frozen=True)
class Comparison:
    """Two builds and which steps of theirs belong together."""

    before: Recipe
    now: Recipe
    aligned: Alignment

    def causes(self, use: Use) -> list[Cause]:
        """Return why a step is another one than before: its own reasons, or the nearest above it.

        Returns:
            None at all if nothing that the records hold is different.
        """
        return self._step(use, "", set())

    def _step(self, use: Use, place: str, seen: set[tuple[str, int]]) -> list[Cause]:
        """Return the reasons of a step, or else those of the steps above it and what they read."""
        below: Use | None = None
        for one in self._upwards(use):
            if (one.stage.name, one.number) in seen:
                return []
            seen.add((one.stage.name, one.number))
            where = place if one == use else one.stage.name
            found = (self._removed(one, below, where) if below else []) or self.own(one, where)
            for name in () if found else one.stages:
                last = [each for each in self.now.uses if each.stage.name == name][-1:]
                found = found or [c for each in last for c in self._step(each, name, seen)]
            if found:
                return found
            below = one
        return self._removed(None, below, place) if below else []

    def _upwards(self, use: Use) -> Iterator[Use]:
        """Yield a step and those that its stage, and those it comes of, have before it."""
        stage, number = use.stage, use.number
        while True:
            yield from (
                one
                for one in reversed(self.now.uses)
                if one.stage.name == stage.name and one.number <= number
            )
            above = [one for one in self.now.uses if one.stage.name == stage.base.lower()]
            if not stage.parent or not above:
                return
            stage, number = above[-1].stage, above[-1].number

    def own(self, use: Use, place: str = "") -> list[Cause]:
        """Return in what a step is another one than before, apart from the steps above it."""
        old = self.aligned.was(use)
        text = f"line {use.instruction.line}"
        if old is None:
            moved = self.aligned.moved(use)
            if moved:
                return [
                    Cause(
                        Why.MOVED,
                        text,
                        self._above(moved, self.before.uses),
                        self._above(use, self.now.uses),
                        place,
                    )
                ]
            return [Cause(Why.NEW, text, now=use.instruction.head, place=place)]
        found = []
        if self._meaning(use) != [*old.meaning]:
            was, has = _first_difference(old.instruction.text, use.instruction.text)
            found.append(Cause(Why.INSTRUCTION, text, was, has, place))
        for word in sorted({*old.state, *use.state}):
            was, has = old.state.get(word, ""), use.state.get(word, "")
            if was != has:
                found.append(Cause(Why.INSTRUCTION, word, was, has, place))
        found += _variables(old, use, self.before.arguments | self.now.arguments, place)
        found += _base(self.before, self.now, old, use, place)
        if old.files == use.files:  # the files of another pattern are others anyway
            found += _files(use, self.before.record.files, self.now.record.files, place)
        return found

    def _meaning(self, use: Use) -> list[str]:
        """Return a step's meaning with the names that the stages had."""
        said = [*use.meaning]
        for name, was in self.aligned.stages.items():
            said = [_renamed(part, name, was) for part in said]
        return said

    def _removed(self, use: Use | None, below: Use, place: str) -> list[Cause]:
        """Return the steps that stood between two steps that follow each other now."""
        lower = self.aligned.was(below)
        upper = self.aligned.was(use) if use else None
        if lower is None or (use and upper is None):
            return []
        first = upper.number if upper and upper.stage.name == lower.stage.name else 0
        between = [
            one
            for one in self.aligned.gone
            if one.stage.name == lower.stage.name and first < one.number < lower.number
        ]
        return [Cause(Why.GONE, one.instruction.head, place=place) for one in reversed(between)]

    @staticmethod
    def _above(use: Use, uses: Sequence[Use]) -> str:
        """Return the instruction that a step follows."""
        above = [o for o in uses if o.stage.name == use.stage.name and o.number < use.number]
        return above[-1].instruction.head if above else ""


def _renamed(part: str, name: str, was: str) -> str:
    if name == was or f"{STAGE}{name}" not in part:
        return part
    head, _, rest = part.partition(f"{STAGE}{name}")
    return f"{head}{STAGE}{was}{rest}" if not rest or rest[0] == "," else part


def _variables(old: Use, use: Use, arguments: frozenset[str], place: str) -> Iterator[Cause]:
    found = False
    for name in {**use.variables, **old.variables}:
        was, has = old.variables.get(name), use.variables.get(name)
        if was != has:
            found = True
            why = Why.ARGUMENT if name in arguments else Why.ENVIRONMENT
            yield Cause(why, name, _value(was), _value(has), place)
    if not found and use.instruction.word == "RUN" and [*old.variables] != [*use.variables]:
        yield Cause(Why.ORDER, "", ", ".join(old.variables), ", ".join(use.variables), place)


def _value(text: str | None) -> str:
    """Return a value to be shown; one that is empty is not one that is not set."""
    return "" if text is None else text or '""'


def _base(before: Recipe, now: Recipe, old: Use, use: Use, place: str) -> Iterator[Cause]:
    was, has = before.root(old), now.root(use)
    if was != has:
        yield Cause(Why.BASE, has, _named(was, before), _named(has, now), place)
    elif has and before.digest(was) != now.digest(has) and before.digest(was) and now.digest(has):
        yield Cause(Why.BASE, has, before.digest(was), now.digest(has), place)


def _named(reference: str, recipe: Recipe) -> str:
    digest = recipe.digest(reference)
    return f"{reference}@{digest}" if digest else reference


def _files(
    use: Use, before: Mapping[str, str], now: Mapping[str, str], place: str
) -> Iterator[Cause]:
    for path in use.reads(sorted({*before, *now})):
        mode, content = _parts(before.get(path))
        new_mode, new_content = _parts(now.get(path))
        if content != new_content:
            yield Cause(Why.CONTENT, path, content, new_content, place)
        elif mode != new_mode:
            yield Cause(Why.MODE, path, mode, new_mode, place)


def _parts(fingerprint: str | None) -> tuple[str, str]:
    if not fingerprint:
        return _NO_FILE
    mode, _, content = fingerprint.partition(" ")
    return mode, content


def _first_difference(before: str, now: str) -> tuple[str, str]:
    lines = zip_longest(before.splitlines(), now.splitlines(), fillvalue="")
    return next(((a, b) for a, b in lines if a != b), (before, now))
