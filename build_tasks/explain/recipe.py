"""What a record knows of the Dockerfile that was built."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from build_tasks import dockerfile
from build_tasks.dockerfile import inputs
from build_tasks.dockerfile.inputs import Use
from build_tasks.record import BuildRecord, Step, StepKind

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

    def use(self, step: Step) -> Use | None:
        """Return the instruction that a step comes of."""
        for one in self.uses:
            alone = not step.stage and one.stage.name == "stage-0"
            if one.number == step.number and (alone or one.stage.name == step.stage.lower()):
                return one
        return None

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

    def above(self, use: Use) -> list[Use]:
        """Return the steps that a step stands on, the nearest first."""
        found: list[Use] = []
        waiting = [use]
        while waiting:
            one = waiting.pop(0)
            stage = one.stage
            near = [u for u in self.uses if u.stage.name == stage.name and u.number < one.number]
            read = {*one.stages, *([stage.base.lower()] if stage.parent else [])}
            far = [u for u in self.uses if u.stage.name in read]
            for upper in (*reversed(near), *reversed(far)):
                if upper not in found:
                    found.append(upper)
                    waiting.append(upper)
        return found


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
