"""Which step of an earlier Dockerfile a step was, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from build_tasks.inputs.dockerfile.inputs import Use

#: Two texts that share less than half of their words are two instructions.
_ALIKE = 0.5


@dataclass
class Alignment:
    """The steps of two Dockerfiles beside each other.

    Args:
        pairs: for each step of the later one, by stage and number, the one that it was.
        gone: the steps of the earlier one that no step of the later one was.
        stages: for each stage of the later one, by name, the name that it had.
    """

    pairs: dict[tuple[str, int], Use] = field(default_factory=dict)
    gone: list[Use] = field(default_factory=list)
    stages: dict[str, str] = field(default_factory=dict)

    def was(self, use: Use) -> Use | None:
        """Return the step that a step was, None if it is new."""
        return self.pairs.get((use.stage.name, use.number))

    def moved(self, use: Use) -> Use | None:
        """Return the step with the same text that stood elsewhere in the stage, None without."""
        here = (one for one in self.gone if one.stage.name == self.stages.get(use.stage.name))
        return next((one for one in here if _text(one) == _text(use)), None)


def align(before: Sequence[Use], now: Sequence[Use]) -> Alignment:
    """Return which step of an earlier Dockerfile each step of a later one was."""
    found = Alignment()
    old, new = _by_stage(before), _by_stage(now)
    for name in new:
        if name in old:
            found.stages[name] = name
    for name in new:
        free = [one for one in old if one not in found.stages.values()]
        if name not in found.stages and free:
            shared = {one: len({*map(_text, old[one])} & {*map(_text, new[name])}) for one in free}
            best = max(free, key=lambda one: shared[one])
            if shared[best]:
                found.stages[name] = best
    for name, steps in new.items():
        _align(found, old.get(found.stages.get(name, ""), []), steps)
    paired = {(one.stage.name, one.number) for one in found.pairs.values()}
    found.gone = [one for one in before if (one.stage.name, one.number) not in paired]
    return found


def _by_stage(uses: Sequence[Use]) -> dict[str, list[Use]]:
    found: dict[str, list[Use]] = {}
    for use in uses:
        found.setdefault(use.stage.name, []).append(use)
    return found


def _align(found: Alignment, old: Sequence[Use], new: Sequence[Use]) -> None:
    matcher = SequenceMatcher(None, [*map(_text, old)], [*map(_text, new)], autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            for was, has in zip(old[i1:i2], new[j1:j2], strict=True):
                found.pairs[has.stage.name, has.number] = was
        elif tag == "replace":
            _pair(found, [*old[i1:i2]], new[j1:j2])


def _pair(found: Alignment, old: list[Use], new: Sequence[Use]) -> None:
    """Pair steps that were edited, in order."""
    for has in new:
        alike = [one for one in old if _likeness(one, has) >= _ALIKE]
        if alike:
            best = max(alike, key=lambda one: _likeness(one, has))
            found.pairs[has.stage.name, has.number] = best
            del old[: old.index(best) + 1]


def _likeness(one: Use, other: Use) -> float:
    if one.instruction.word != other.instruction.word:
        return 0.0
    if one.instruction.word == "WORKDIR":
        return 1.0
    texts = one.instruction.text.split(), other.instruction.text.split()
    return SequenceMatcher(None, *texts, autojunk=False).ratio()


def _text(use: Use) -> str:
    return " ".join(use.instruction.text.split())
