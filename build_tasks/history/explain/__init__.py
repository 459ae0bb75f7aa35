"""Explain why steps of a build missed the cache, by comparing two records.

A step's cache key is made of its instruction, of what the instruction sees, and of the steps that
it depends on. So a step needs a reason only if none of the steps that it depends on ran.
"""

from __future__ import annotations

from collections.abc import Sequence

from build_tasks.history import vertex_names
from build_tasks.history.explain.alignment import align
from build_tasks.history.explain.causes import Cause, Comparison, Why
from build_tasks.history.explain.explanation import Explanation, Miss
from build_tasks.history.recipe import recipe
from build_tasks.history.record import BuildRecord, Step, StepKind


def explain(before: BuildRecord | None, now: BuildRecord) -> Explanation:
    """Return why steps of a build ran again, compared with an earlier one if there is one."""
    ran = [step for step in now.dockerfile_steps if step.ran]
    numbers = len(ran), len(now.dockerfile_steps)
    reuse = tuple(one.text for one in now.reuse)
    if before is None:
        return Explanation(now.identity, "", *numbers, reuse=reuse)
    old, new = recipe(before), recipe(now)
    comparison = Comparison(old, new, align(old.uses, new.uses))
    below = {step.digest: now.below(step) for step in ran}
    misses = []
    for step in ran:
        if below[step.digest] & below.keys():
            continue
        use = new.by_digest.get(step.digest)
        after = [other for other in ran if step.digest in below[other.digest]]
        after.sort(key=lambda other: (other.stage, other.number))
        misses.append(
            Miss(
                _name(step),
                vertex_names.parse(step.name).text,
                use.instruction.line if use else 0,
                tuple(_causes(step, comparison)),
                tuple(map(_name, after)),
            )
        )
    since = before.began or before.run or "?"
    return Explanation(now.identity, since, *numbers, tuple(misses), reuse)


def _name(step: Step) -> str:
    return f"{step.place} ({step.platform})" if step.platform else step.place


def _causes(step: Step, comparison: Comparison) -> Sequence[Cause]:
    before, now = comparison.before.record, comparison.now.record
    use = comparison.now.by_digest.get(step.digest)
    old = comparison.aligned.pairs.get(use.place) if use else None
    same_key = [other for other in before.dockerfile_steps if other.digest == step.digest]
    # What the step was in the earlier build: the same digest, or the same instruction.
    earlier = same_key or [
        other
        for other in before.dockerfile_steps
        if old and comparison.before.by_digest.get(other.digest) == old
    ]
    if now.cache_disabled:
        return [Cause(Why.DISABLED)]
    if before.outcome != "built" and not any(s.started and not s.error for s in earlier):
        return [Cause(Why.UNFINISHED, before.outcome)]
    if causes := comparison.causes(use) if use else []:
        return causes
    # The build context has another digest in each build, and so has every step that reads it.
    below = now.below(step)
    reads_context = any(
        other.digest in below and other.kind in {StepKind.CONTEXT, StepKind.INTERNAL}
        for other in now.steps
    )
    if same_key or (earlier and reads_context and now.files):
        return [_cache_cause(earlier, before, now)]
    return [Cause(Why.UNKNOWN)]


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
    read = [f"{name} (which had it)" if name in held else name for name in read]
    unread = [f"{use.reference} ({use.error})" for use in now.imports if use.error]
    return Cause(Why.COLLECTED, ", ".join(read), now=", ".join(unread))
