"""Why a step is another one than before: what it stands on, compared between two builds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from itertools import zip_longest

from build_tasks.dockerfile.inputs import Use
from build_tasks.explain.recipe import Recipe

#: Between them, everything that a file's fingerprint holds.
_NO_FILE = ("", "")


class Why(StrEnum):
    """The kinds of causes, in the order in which they are told."""

    NEW = "new"  # the instruction was not there
    INSTRUCTION = "instruction"
    ARGUMENT = "argument"
    ENVIRONMENT = "environment"
    BASE = "base"
    CONTENT = "content"  # of a file
    MODE = "mode"  # of a file
    UNFINISHED = "unfinished"  # the build before did not get that far
    DISABLED = "disabled"  # the cache was not to be used
    BUILDER = "builder"  # another one, which has a cache of its own
    IMPORT = "import"  # a cache reference was not read
    LEFT_OUT = "left-out"  # a cache reference was not read because its registry did not send it
    ABSENT = "absent"  # nobody has written a cache reference yet
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


def differences(use: Use, before: Recipe, now: Recipe, *, place: str = "") -> list[Cause]:
    """Return in what a step is another one than before, apart from the steps above it.

    Args:
        use: the step, as it is now.
        before: the earlier build.
        now: the later one.
        place: what to call the step, if it is not the one that is being explained.
    """
    old = counterpart(use, before.uses, now.uses)
    text = f"line {use.instruction.line}"
    if old is None:
        return [Cause(Why.NEW, text, now=use.instruction.head, place=place)]
    found = []
    if old.instruction.text != use.instruction.text:
        was, has = _first_difference(old.instruction.text, use.instruction.text)
        found.append(Cause(Why.INSTRUCTION, text, was, has, place))
    for word in sorted({*old.state, *use.state}):
        was, has = old.state.get(word, ""), use.state.get(word, "")
        if was != has:
            found.append(Cause(Why.INSTRUCTION, word, was, has, place))
    found += _variables(old, use, now.arguments, place)
    found += _base(before, now, old, use, place)
    if old.files == use.files:  # the files of another pattern are others anyway
        found += _files(use, before.record.files, now.record.files, place)
    return found


def counterpart(use: Use, uses: Sequence[Use], later: Sequence[Use]) -> Use | None:
    """Return the step of an earlier Dockerfile that a step was, None if there was none.

    Args:
        use: the step.
        uses: the steps of the earlier Dockerfile.
        later: the steps of its own.
    """
    stage = [one for one in uses if one.stage.name == use.stage.name]
    same = [one for one in stage if one.instruction.text == use.instruction.text]
    if same:
        return min(same, key=lambda one: abs(one.number - use.number))
    kept = {one.instruction.text for one in later if one.stage.name == use.stage.name}
    gone = (one for one in stage if one.instruction.text not in kept)
    alike = [one for one in gone if one.instruction.word == use.instruction.word]
    if not alike:
        return None

    def likeness(one: Use) -> float:
        words = one.instruction.text.split(), use.instruction.text.split()
        return (
            SequenceMatcher(None, *words, autojunk=False).ratio()
            - abs(one.number - use.number) / 100
        )

    best = max(alike, key=likeness)
    return best if likeness(best) >= 0.5 else None  # noqa: PLR2004 - half of it is another text


def _variables(old: Use, use: Use, arguments: frozenset[str], place: str) -> Iterator[Cause]:
    for name in {**use.variables, **old.variables}:
        was, has = old.variables.get(name, ""), use.variables.get(name, "")
        if was != has:
            why = Why.ARGUMENT if name in arguments else Why.ENVIRONMENT
            yield Cause(why, name, was, has, place)


def _base(before: Recipe, now: Recipe, old: Use, use: Use, place: str) -> Iterator[Cause]:
    was, has = before.root(old), now.root(use)
    if was != has:
        yield Cause(Why.BASE, has, _named(was, before), _named(has, now), place)
    elif has and before.digest(was) != now.digest(has) and before.digest(was):
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
