"""Warn of imported caches that were not used: a step ran although a cache has its result."""

from __future__ import annotations

from build_tasks.history import vertex_names
from build_tasks.history.record import BuildRecord, Step, StepKind
from build_tasks.text.formatting import shorten


def warnings(previous: BuildRecord | None, now: BuildRecord) -> list[str]:
    """Return a warning about steps that ran although an imported cache has their results."""
    steps = missed(previous, now)
    if not steps:
        return []
    seconds = sum(step.seconds for step in steps)
    more = f" and {len(steps) - 1} more" if len(steps) > 1 else ""
    read = ", ".join(use.reference for use in now.imports if not use.error)
    first = shorten(vertex_names.parse(steps[0].name).short, 80)
    what = f"{first}{more}, which ran for {seconds:.1f} s"
    return [f"warning: the cache {read} was read and should have had {what}"]


def missed(previous: BuildRecord | None, now: BuildRecord) -> tuple[Step, ...]:
    """Return the steps that ran although a cache that was read holds them.

    A cache holds a step of the previous build if that build wrote the cache, or found the step
    cached with the same caches read. A step's digest covers everything but the content of files:
    steps that depend on files count only where both records have the same files.
    """
    if previous is None:
        return ()
    read = {use.reference for use in now.imports if not use.error}
    read_before = {use.reference for use in previous.imports if not use.error}
    export = previous.export
    written = bool(export and not export.error and export.reference in read)
    held = {
        step.digest
        for step in previous.dockerfile_steps
        if step.started and not step.error and (written or (step.cached and read & read_before))
    }
    context = {step.digest for step in now.steps if step.kind is StepKind.CONTEXT}
    same_files = bool(now.files) and now.files == previous.files
    return tuple(
        step
        for step in now.steps
        if step.ran
        and not step.error
        and step.digest in held
        and (same_files or not context & now.below(step))
    )
