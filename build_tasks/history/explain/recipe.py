"""What a record knows of the Dockerfile that was built."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from build_tasks.history.record import BuildRecord, Step, StepKind
from build_tasks.inputs import dockerfile
from build_tasks.inputs.dockerfile import inputs
from build_tasks.inputs.dockerfile.inputs import Use

_FROM = re.compile(r"FROM (?:--\S+ )*(?P<reference>\S+?)@(?P<digest>sha256:[0-9a-f]+)")


@dataclass(frozen=True)
class Recipe:
    """What a record knows of its Dockerfile.

    Args:
        record: the record.
        uses: the steps of its Dockerfile.
        arguments: the names that an ARG of it declares.
        bases: the digests of its base images, by reference.
    """

    record: BuildRecord
    uses: tuple[Use, ...] = ()
    arguments: frozenset[str] = frozenset()
    bases: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def placed(self) -> dict[str, Use]:
        """The instruction that each step comes of, by the step's digest.

        A step that several builds share is called what the first of them calls it: its place is
        then that of its neighbours in this build's graph.
        """
        steps = [step for step in self.record.steps if step.number]
        found = {step.digest: use for step in steps if (use := self._named(step))}
        for _ in steps:
            size = len(found)
            for step in steps:
                for upper in step.inputs[:1]:
                    self._neighbours(found, upper, step.digest)
            if len(found) == size:
                break
        return found

    def use(self, step: Step) -> Use | None:
        """Return the instruction that a step comes of."""
        return self.placed.get(step.digest)

    def _named(self, step: Step) -> Use | None:
        """Return the instruction that a step's name says, if the text agrees."""
        for one in self.uses:
            alone = not step.stage and one.stage.name == "stage-0"
            if one.number == step.number and (alone or one.stage.name == step.stage.lower()):
                return one if _agrees(step.name, one.instruction.head) else None
        return None

    def _neighbours(self, found: dict[str, Use], upper: str, lower: str) -> None:
        places = {(one.stage.name, one.number): one for one in self.uses}
        for known, other, by in ((lower, upper, -1), (upper, lower, 1)):
            if known in found and other not in found:
                use = found[known]
                near = places.get((use.stage.name, use.number + by))
                if near and any(one.digest == other and one.number for one in self.record.steps):
                    found[other] = near

    def digest(self, reference: str) -> str:
        """Return the digest that a base image had; BuildKit writes short names out."""
        known = (d for r, d in self.bases.items() if r == reference or r.endswith(f"/{reference}"))
        return next(known, "")

    def root(self, use: Use) -> str:
        """Return the image that a step's stage begins with, through the stages between."""
        stage = use.stage
        stages = {one.stage.name: one.stage for one in self.uses}
        while stage.parent and stage.base.lower() in stages:
            stage = stages[stage.base.lower()]
        return stage.base


def _agrees(name: str, head: str) -> bool:
    """Return whether BuildKit's name for a step can be that of an instruction."""
    said, wanted = name.partition("] ")[2].split()[:3], head.split()[:3]
    return all(
        one == other or "$" in other or one.startswith("(")
        for one, other in zip(said, wanted, strict=False)
    )


def recipe(record: BuildRecord) -> Recipe:
    """Return what a record knows of its Dockerfile."""
    instructions = [dockerfile.read(kept) for kept in record.instructions]
    names = dockerfile.declared(instructions)
    bases = {record.base[0]: record.base[1]} if record.base[1] else {}
    for step in record.steps:
        found = _FROM.search(step.name) if step.kind is StepKind.BASE else None
        if found:
            bases[found["reference"]] = found["digest"]
    return Recipe(record, inputs.uses(instructions, record.arguments), names, bases)
