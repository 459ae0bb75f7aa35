"""Match the steps of two versions of a Dockerfile, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import groupby

from build_tasks.inputs.dockerfile.inputs import Use

#: The share of equal words from which on two texts are versions of one instruction.
_SIMILAR = 0.5


@dataclass
class Alignment:
    """The steps of two versions of a Dockerfile, matched."""

    #: For the place of each step of the later version, the earlier step.
    pairs: dict[tuple[str, int], Use] = field(default_factory=dict)
    #: The steps of the earlier version without a later one.
    removed: list[Use] = field(default_factory=list)
    #: For the name of each later stage, the earlier name.
    stages: dict[str, str] = field(default_factory=dict)

    def moved(self, use: Use) -> Use | None:
        """Return the removed step of the same stage with the same text."""
        stage = self.stages.get(use.stage.name)
        same = (old for old in self.removed if old.stage.name == stage and _text(old) == _text(use))
        return next(same, None)


def align(before: Sequence[Use], now: Sequence[Use]) -> Alignment:
    """Match the steps of two versions of a Dockerfile."""
    old, new = _by_stage(before), _by_stage(now)
    stages = {name: name for name in new if name in old}
    for name in new:
        free = [other for other in old if other not in stages.values()]
        if name not in stages and free:
            texts = {*map(_text, new[name])}
            shared = {other: len({*map(_text, old[other])} & texts) for other in free}
            best = max(free, key=shared.__getitem__)
            if shared[best]:
                stages[name] = best
    alignment = Alignment(stages=stages)
    for name, steps in new.items():
        _align_stage(alignment, old.get(stages.get(name, ""), []), steps)
    paired = {use.place for use in alignment.pairs.values()}
    alignment.removed = [use for use in before if use.place not in paired]
    return alignment


def _by_stage(uses: Sequence[Use]) -> dict[str, list[Use]]:
    return {name: [*steps] for name, steps in groupby(uses, key=lambda use: use.stage.name)}


def _align_stage(alignment: Alignment, old: list[Use], new: list[Use]) -> None:
    matcher = SequenceMatcher(None, [*map(_text, old)], [*map(_text, new)], autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            pairs = zip(new[j1:j2], old[i1:i2], strict=True)
            alignment.pairs |= {use.place: earlier for use, earlier in pairs}
        elif tag == "replace":
            candidates = old[i1:i2]
            for use in new[j1:j2]:
                scores = [_similarity(earlier, use) for earlier in candidates]
                if max(scores, default=0.0) >= _SIMILAR:
                    best = scores.index(max(scores))
                    alignment.pairs[use.place] = candidates[best]
                    del candidates[: best + 1]


def _similarity(use: Use, other: Use) -> float:
    if use.instruction.word != other.instruction.word:
        return 0.0
    if use.instruction.word == "WORKDIR":
        return 1.0
    texts = use.instruction.text.split(), other.instruction.text.split()
    return SequenceMatcher(None, *texts, autojunk=False).ratio()


def _text(use: Use) -> str:
    return use.instruction.squeezed[1]
