"""Why steps of a build missed the cache: two records, compared; nothing is run or asked.

A step's key is its instruction, what it can see, and what it stands on. So of all steps that ran,
only those that stand on none of the others need a reason: the rest follow from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from build_tasks.history.explain import recipe
from build_tasks.history.explain.alignment import align
from build_tasks.history.explain.causes import Cause, Comparison, Why
from build_tasks.history.explain.explanation import Explanation, Miss
from build_tasks.history.record import BuildRecord, CacheUse, Step, StepKind


@dataclass(frozen=True)
class _Node:
    """One step of the Dockerfile: BuildKit makes several vertices of `COPY --link`."""

    steps: tuple[Step, ...]

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
        one = self.first
        where = " ".join(filter(None, (one.stage, f"{one.number}/{one.total}")))
        return f"{where} ({one.platform})" if one.platform else where


def explain(before: BuildRecord | None, now: BuildRecord) -> Explanation:
    """Return why steps ran that an earlier build had made.

    Args:
        before: the build before, None if there is none.
        now: the build that is asked about.
    """
    nodes = _nodes(now)
    ran = [node for node in nodes if node.ran]
    since = (before.began or before.run or "?") if before else ""
    if before is None:
        return Explanation(now.identity, since, len(ran), len(nodes))
    stands_on = {node.first.digest: _ancestors(node, now) for node in nodes}
    roots = [
        node
        for node in ran
        if not any(other.digests & stands_on[node.first.digest] for other in ran if other != node)
    ]
    old, new = recipe.recipe(before), recipe.recipe(now)
    compared = Comparison(old, new, align(old.uses, new.uses))
    misses = []
    for root in roots:
        use = new.use(root.first)
        below = (o for o in ran if root.digests & stands_on[o.first.digest] and o != root)
        follow = [o.name for o in sorted(below, key=lambda o: (o.first.stage, o.first.number))]
        line = use.instruction.line if use else 0
        text = _instruction(root.first)
        misses.append(Miss(root.name, text, line, tuple(_why(root, compared)), tuple(follow)))
    return Explanation(now.identity, since, len(ran), len(nodes), tuple(misses))


def _nodes(record: BuildRecord) -> list[_Node]:
    places: dict[tuple[str, str, int], list[Step]] = {}
    for step in record.steps:
        if step.kind is StepKind.STEP:
            places.setdefault((step.platform, step.stage, step.number), []).append(step)
    return [_Node(tuple(steps)) for steps in places.values()]


def _ancestors(node: _Node, record: BuildRecord) -> frozenset[str]:
    """Return the digests of all that a step stands on."""
    inputs = {step.digest: step.inputs for step in record.steps}
    found: set[str] = set()
    waiting = [digest for step in node.steps for digest in step.inputs]
    while waiting:
        digest = waiting.pop()
        if digest not in found:
            found.add(digest)
            waiting += inputs.get(digest, ())
    return frozenset(found - node.digests)


def _why(node: _Node, compared: Comparison) -> Sequence[Cause]:
    """Return the reasons for a step; one that is not known is said to be so."""
    before, now = compared.before.record, compared.now.record
    use = compared.now.use(node.first)
    was = _counterpart(node, compared)
    if "--no-cache" in now.command.split():
        return [Cause(Why.DISABLED)]
    if before.outcome != "built" and not any(step.started and not step.error for step in was):
        return [Cause(Why.UNFINISHED, before.outcome)]
    found = compared.causes(use) if use else []
    if found:
        return found
    same = any(step.digest in node.digests for step in was)
    # BuildKit names the files of a build context anew in each build: what reads them has another
    # digest, though it is what it was.
    if not same and not (was and _reads_context(node, now) and now.files):
        return [Cause(Why.UNKNOWN)]
    return [_from_the_cache(was, before, now)]


def _counterpart(node: _Node, compared: Comparison) -> list[Step]:
    """Return the steps of the earlier build that a step was."""
    steps = [step for step in compared.before.record.steps if step.kind is StepKind.STEP]
    matched = [step for step in steps if step.digest in node.digests]
    use = compared.now.use(node.first)
    old = compared.aligned.was(use) if use else None
    return matched or [step for step in steps if old and compared.before.use(step) == old]


def _from_the_cache(was: Sequence[Step], before: BuildRecord, now: BuildRecord) -> Cause:
    """Return why a step that is what it was is not in the cache."""
    if before.builder != now.builder:
        return Cause(Why.BUILDER, "builder", before.builder, now.builder)
    had = {use.reference for use in before.imports if not use.error}
    had = had if any(step.cached for step in was) else set()
    if before.export and not before.export.error:
        had.add(before.export.reference)
    for use in now.imports:
        if use.error and use.reference in had:
            return _unread(use)
    read = [use.reference for use in now.imports if not use.error]
    unread = [f"{use.reference} ({use.error})" for use in now.imports if use.error]
    return Cause(Why.COLLECTED, ", ".join(read), now=", ".join(unread))


def _unread(use: CacheUse) -> Cause:
    """Return a cache that was not read as the cause of a miss."""
    left_out = use.left_out and not use.absent
    return Cause(Why.LEFT_OUT if left_out else Why.IMPORT, use.reference, now=use.error)


def _reads_context(node: _Node, record: BuildRecord) -> bool:
    above = _ancestors(node, record)
    return any(
        step.digest in above and step.kind in {StepKind.CONTEXT, StepKind.INTERNAL}
        for step in record.steps
    )


def _instruction(step: Step) -> str:
    return step.name.partition("] ")[2] if step.name.startswith("[") else step.name
