"""Steps that ran although a cache that was read has had them."""

from __future__ import annotations

from build_tasks.history.record import BuildRecord, Step, StepKind


def missed(previous: BuildRecord | None, now: BuildRecord) -> tuple[Step, ...]:
    """Return the steps that ran although a cache that was read has had them.

    A step's digest says all that it stands on but the content of files: what stands on files is
    left out unless both records know the same files. A step counts as one that the cache has had
    where the build before wrote, without an error, a reference that this one has read; or where
    it was cached then, with the same references read.

    Args:
        previous: the build's record of before, if there is one.
        now: its record of now.
    """
    if previous is None:
        return ()
    read = {use.reference for use in now.imports if not use.error}
    before = {use.reference for use in previous.imports if not use.error}
    wrote = previous.export
    written = bool(wrote and not wrote.error and wrote.reference in read)
    had = {
        step.digest
        for step in previous.steps
        if step.kind is StepKind.STEP
        and step.started
        and not step.error
        and (written or (step.cached and read & before))
    }
    by_digest = {step.digest: step for step in now.steps}
    same_files = bool(now.files) and now.files == previous.files

    def on_files(digest: str, seen: set[str]) -> bool:
        step = by_digest.get(digest)
        if step is None or digest in seen:
            return False
        seen.add(digest)
        return step.kind is StepKind.CONTEXT or any(on_files(one, seen) for one in step.inputs)

    return tuple(
        step
        for step in now.steps
        if step.ran
        and not step.error
        and step.digest in had
        and (same_files or not on_files(step.digest, set()))
    )
