"""Why steps of a build missed the cache: two records, compared; nothing is run or asked.

A step's key is its instruction, what it can see, and what it stands on. So of all steps that ran,
only those that stand on none of the others need a reason: the rest follow from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from build_tasks.explain import causes, recipe
from build_tasks.explain.causes import Cause, Why
from build_tasks.explain.explanation import Explanation, Miss
from build_tasks.explain.recipe import Recipe
from build_tasks.record import BuildRecord, CacheUse, Step, StepKind


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
    misses = []
    for root in roots:
        use = new.use(root.first)
        below = (o for o in ran if root.digests & stands_on[o.first.digest] and o != root)
        follow = [o.name for o in sorted(below, key=lambda o: (o.first.stage, o.first.number))]
        line = use.instruction.line if use else 0
        text = _instruction(root.first)
        misses.append(Miss(root.name, text, line, tuple(_why(root, old, new)), tuple(follow)))
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


def _why(node: _Node, before: Recipe, now: Recipe) -> Iterable[Cause]:
    use = now.use(node.first)
    if use is None:
        return _elsewhere(node, _matched(node, before), before.record, now.record)
    own = causes.differences(use, before, now)
    if own:
        return own
    for upper in now.above(use):
        found = causes.differences(upper, before, now, place=upper.stage.name)
        if found:
            return found
    # BuildKit names the files of a build context anew in each build: what reads them has another
    # digest, too, though it is what it was.
    old = causes.counterpart(use, before.uses, now.uses)
    there = [step for step in before.record.steps if step.number and before.use(step) == old]
    return _elsewhere(node, _matched(node, before) or there, before.record, now.record)


def _matched(node: _Node, before: Recipe) -> list[Step]:
    return [step for step in before.record.steps if step.digest in node.digests]


def _elsewhere(
    node: _Node, matched: Sequence[Step], was: BuildRecord, now: BuildRecord
) -> Sequence[Cause]:
    """Return why a step that is what it was is not in the cache."""
    if matched and any(step.error or not step.started for step in matched):
        return [Cause(Why.UNFINISHED, was.outcome)]
    if "--no-cache" in now.command.split():
        return [Cause(Why.DISABLED)]
    if was.builder != now.builder:
        return [Cause(Why.BUILDER, "builder", was.builder, now.builder)]
    unread = [_unread(use) for use in now.imports if use.error]
    if unread:
        return unread
    same = any(step.digest in node.digests for step in matched)
    if same or (matched and _reads_context(node, now)):
        return [Cause(Why.COLLECTED, ", ".join(use.reference for use in now.imports))]
    return [Cause(Why.UNKNOWN)]


def _unread(use: CacheUse) -> Cause:
    """Return a cache that was not read as the cause of a miss."""
    if use.absent:
        return Cause(Why.ABSENT, use.reference)
    return Cause(Why.LEFT_OUT if use.left_out else Why.IMPORT, use.reference, now=use.error)


def _reads_context(node: _Node, record: BuildRecord) -> bool:
    above = _ancestors(node, record)
    return any(
        step.digest in above and step.kind in {StepKind.CONTEXT, StepKind.INTERNAL}
        for step in record.steps
    )


def _instruction(step: Step) -> str:
    return step.name.partition("] ")[2] if step.name.startswith("[") else step.name
