"""The inputs of a build in its record: kept, and read again."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from build_tasks.history import vertex_names
from build_tasks.history.record import BuildRecord, Step, StepKind
from build_tasks.inputs import dockerfile
from build_tasks.inputs.dockerfile import Instruction, inputs
from build_tasks.inputs.dockerfile.inputs import Use
from build_tasks.inputs.fingerprint import BASE_ARGUMENT, IMAGE_ARGUMENT, Inputs, gather
from build_tasks.text.redaction import redact

#: A base image that a build context replaces, like an OCI layout.
_CONTEXT = re.compile(
    r"\[context \S+\] load metadata for (?P<reference>\S+?)@(?P<digest>sha256:[0-9a-f]+)"
)
_FROM = re.compile(r"FROM (?:--\S+ )*(?P<reference>\S+?)@(?P<digest>sha256:[0-9a-f]+)")


@dataclass(frozen=True)
class Recipe:
    """What a record holds of its Dockerfile."""

    record: BuildRecord
    uses: tuple[Use, ...] = ()  # the steps of the Dockerfile
    arguments: frozenset[str] = frozenset()  # the names that it declares with ARG
    #: The digests of base images, by reference.
    bases: Mapping[str, str] = field(default_factory=dict)
    #: The base images that a build context replaces.
    replaced: frozenset[str] = frozenset()

    @cached_property
    def by_digest(self) -> dict[str, Use]:
        """The instruction of each step, by the step's digest.

        BuildKit gives a step that several builds share the name from the first of them. Such a step
        gets the instruction next to that of its neighbours in the graph.
        """
        steps = {step.digest: step for step in self.record.steps if step.number}
        by_place = {use.place: use for use in self.uses}
        uses = {digest: use for digest, step in steps.items() if (use := self._named(step))}
        edges = [
            (step.inputs[0], digest)
            for digest, step in steps.items()
            if step.inputs and step.inputs[0] in steps
        ]
        known = -1
        while known < len(uses):
            known = len(uses)
            for upper, lower in edges:
                for digest, neighbour, offset in ((lower, upper, -1), (upper, lower, 1)):
                    if digest in uses and neighbour not in uses:
                        stage, number = uses[digest].place
                        if (stage, number + offset) in by_place:
                            uses[neighbour] = by_place[stage, number + offset]
        return uses

    def _named(self, step: Step) -> Use | None:
        """Return the instruction at the place in a step's name, if its text agrees."""
        # BuildKit leaves the name of a Dockerfile's only stage out.
        only = len({use.stage.name for use in self.uses}) == 1
        for use in self.uses:
            unnamed = only and not step.stage
            # BuildKit does not number the instruction FROM of such a base.
            number = use.number - (_expanded(use.stage.root) in self.replaced)
            if number == step.number and (unnamed or use.stage.name == step.stage.lower()):
                return use if _agrees(step.name, use.instruction.head) else None
        return None

    def digest(self, reference: str) -> str:
        """Return the digest of a base image, or "" if the record does not have it."""
        expanded = _expanded(reference)
        return next((d for r, d in self.bases.items() if _expanded(r) == expanded), "")


def _expanded(reference: str) -> str:
    """Return a reference as BuildKit writes it: with its registry, its folder and its tag."""
    registry, _, path = reference.partition("/")
    if not path or not re.search(r"[.:]|^localhost$", registry):
        registry, path = "docker.io", reference
    if registry == "docker.io" and "/" not in path:
        path = f"library/{path}"
    return f"{registry}/{path}" if ":" in path else f"{registry}/{path}:latest"


def _agrees(name: str, head: str) -> bool:
    text = vertex_names.parse(name).text
    words = zip(text.split()[:3], head.split()[:3], strict=False)
    return all(word == own or "$" in own or word.startswith("(") for word, own in words)


def recipe(record: BuildRecord) -> Recipe:
    """Return what a record holds of its Dockerfile."""
    instructions = _instructions(record)
    bases = {record.base[0]: record.base[1]} if record.base[1] else {}
    for step in record.steps:
        if step.kind is StepKind.BASE and (match := _FROM.search(step.name)):
            bases[match["reference"]] = match["digest"]
    contexts = [match for step in record.steps if (match := _CONTEXT.match(step.name))]
    replaced = frozenset(_expanded(match["reference"]) for match in contexts)
    bases |= {match["reference"]: match["digest"] for match in contexts}
    uses = inputs.uses(instructions, record.arguments)
    return Recipe(record, uses, dockerfile.declared(instructions), bases, replaced)


def recorded(record: BuildRecord) -> Inputs:
    """Return the inputs of a recorded build."""
    names = (BASE_ARGUMENT, IMAGE_ARGUMENT)
    bases = [name for name in names if record.arguments.get(name) == record.base[0]]
    return gather(_instructions(record), record.arguments, record.files, (*bases, "")[0])


def noted(record: BuildRecord, now: Inputs) -> BuildRecord:
    """Add the inputs of a build to its record, redacted."""
    arguments = {**now.arguments, **({now.base_argument: now.base} if now.base else {})}
    return replace(
        record,
        arguments={name: redact(text) for name, text in arguments.items()},
        base=(now.base, record.base[1]),
        files=dict(now.files),
        instructions=tuple(redact(str(line)) for line in now.instructions),
        fingerprint=now.fingerprint,
    )


def _instructions(record: BuildRecord) -> list[Instruction]:
    """Return the instructions in a record, without those of another form."""
    found = []
    for text in record.instructions:
        with contextlib.suppress(ValueError):
            found.append(dockerfile.read(text))
    return found
