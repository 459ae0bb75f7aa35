"""Explain why steps of a build missed the cache, by comparing two records.

A step's cache key is made of its instruction, of what the instruction sees, and of the steps that
it depends on. So a step needs a reason only if none of the steps that it depends on ran.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from build_tasks.history import vertex_names
from build_tasks.history.explain.alignment import align
from build_tasks.history.explain.causes import Cause, Comparison, Why
from build_tasks.history.explain.explanation import Explanation, Miss
from build_tasks.history.explain.recipe import recipe
from build_tasks.history.record import BuildRecord, Step, StepKind


@dataclass(frozen=True)
class _Node:
    """A step of the Dockerfile; BuildKit makes several vertices of one `COPY --link`."""

    steps: tuple[Step, ...]
    ancestors: frozenset[str]

    @property
    def first(self) -> Step:
        return self.steps[0]

    @property
    def ran(self) -> bool:
        return any(step.ran for step in self.steps)

    @property
    def digests(self) -> frozenset[str]:
        return frozenset(step.digest for step in self.steps)

    @property
    def name(self) -> str:
        step = self.first
        name = f"{step.stage} {step.number}/{step.total}".strip()
        return f"{name} ({step.platform})" if step.platform else name


def explain(before: BuildRecord | None, now: BuildRecord) -> Explanation:
    """Return why steps of a build ran again.

    Args:
        before: the build to compare with, None if there is none.
        now: the build.
    """
    nodes = _nodes(now)
    ran = [node for node in nodes if node.ran]
    if before is None:
        return Explanation(now.identity, "", len(ran), len(nodes))
    since = before.began or before.run or "?"
    executed = {digest for node in ran for digest in node.digests}
    old, new = recipe(before), recipe(now)
    comparison = Comparison(old, new, align(old.uses, new.uses))
    misses = []
    for node in ran:
        if node.ancestors & executed:
            continue
        use = new.by_digest.get(node.first.digest)
        after = [other for other in ran if node.digests & other.ancestors]
        after.sort(key=lambda other: (other.first.stage, other.first.number))
        misses.append(
            Miss(
                node.name,
                vertex_names.parse(node.first.name).instruction or node.first.name,
                use.instruction.line if use else 0,
                tuple(_causes(node, comparison)),
                tuple(other.name for other in after),
            )
        )
    return Explanation(now.identity, since, len(ran), len(nodes), tuple(misses))


def _nodes(record: BuildRecord) -> list[_Node]:
    groups: defaultdict[tuple[str, str, int], list[Step]] = defaultdict(list)
    for step in record.steps:
        if step.kind is StepKind.STEP:
            groups[step.platform, step.stage, step.number].append(step)
    return [_Node(tuple(steps), ancestors(record, steps)) for steps in groups.values()]


def ancestors(record: BuildRecord, steps: Sequence[Step]) -> frozenset[str]:
    """Return the digests of everything that some steps of a build depend on, without these."""
    inputs = {step.digest: step.inputs for step in record.steps}
    result: set[str] = set()
    pending = [digest for step in steps for digest in step.inputs]
    while pending:
        digest = pending.pop()
        if digest not in result:
            result.add(digest)
            pending += inputs.get(digest, ())
    return frozenset(result - {step.digest for step in steps})


def _causes(node: _Node, comparison: Comparison) -> Sequence[Cause]:
    before, now = comparison.before.record, comparison.now.record
    use = comparison.now.by_digest.get(node.first.digest)
    old = comparison.aligned.pairs.get(use.place) if use else None
    steps = [step for step in before.steps if step.kind is StepKind.STEP]
    # What the step was in the earlier build: the same digest, or the same instruction.
    earlier = [step for step in steps if step.digest in node.digests] or [
        step for step in steps if old and comparison.before.by_digest.get(step.digest) == old
    ]
    if "--no-cache" in now.command.split():
        return [Cause(Why.DISABLED)]
    if before.outcome != "built" and not any(s.started and not s.error for s in earlier):
        return [Cause(Why.UNFINISHED, before.outcome)]
    if causes := comparison.causes(use) if use else []:
        return causes
    same_key = any(step.digest in node.digests for step in earlier)
    # The build context has another digest in each build, and so has every step that reads it.
    reads_context = any(
        step.digest in node.ancestors and step.kind in {StepKind.CONTEXT, StepKind.INTERNAL}
        for step in now.steps
    )
    if not same_key and not (earlier and reads_context and now.files):
        return [Cause(Why.UNKNOWN)]
    return [_cache_cause(earlier, before, now)]


def _cache_cause(earlier: Sequence[Step], before: BuildRecord, now: BuildRecord) -> Cause:
    """Return why a step with an unchanged key was not found in a cache."""
    if before.builder != now.builder:
        return Cause(Why.BUILDER, "builder", before.builder, now.builder)
    held = {use.reference for use in before.imports if not use.error}
    held = held if any(step.cached for step in earlier) else set()
    if before.export and not before.export.error:
        held.add(before.export.reference)
    for use in now.imports:
        if use.error and use.reference in held:
            why = Why.LEFT_OUT if use.left_out and not use.absent else Why.IMPORT
            return Cause(why, use.reference, now=use.error)
    read = [use.reference for use in now.imports if not use.error]
    unread = [f"{use.reference} ({use.error})" for use in now.imports if use.error]
    return Cause(Why.COLLECTED, ", ".join(read), now=", ".join(unread))
