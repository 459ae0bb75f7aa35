"""Run one build; repeat it without what it cannot use of a cache."""

from __future__ import annotations

import contextlib
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from build_tasks import paths, process
from build_tasks.buildx import attempt, cache_errors, classification
from build_tasks.buildx.attempt import Listener
from build_tasks.buildx.commands import build_command
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import DiskError, ImagesError, from_os_error
from build_tasks.history.record import BuildRecord, CacheUse
from build_tasks.history.vertex_names import is_cache_export
from build_tasks.model.build import BuildSpec, Output
from build_tasks.model.cache_backends import BackendType
from build_tasks.process import Command, Completed
from build_tasks.text.redaction import redact

#: Repetitions because of a race in the engine's image store.
RACES = 3
#: Characters of the output that are searched for one.
_TAIL = 4096
#: Bytes of a build's metadata, with its provenance, at most.
_METADATA = 128 * 1024
#: Races in the containerd image store, by the error. Everything is built by then, so that another
#: attempt repeats no step.
_LOST_RACES = (
    # moby/buildkit#6521, open in 2026
    (
        re.compile(r"failed to prepare extraction snapshot.*does not exist", re.DOTALL),
        "the engine's image store collected a layer while it was being unpacked",
    ),
    # The store looks for the name and finds none; meanwhile another build takes it.
    (
        re.compile(r'image "[^"]+": already exists'),
        "another build loaded an image of this name at the same time",
    ),
)
#: BuildKit (0.25) can lose the files of a step if a build is cancelled while it commits them, and
#: still takes the step for cached: whatever needs the files fails, each time, also after a prune,
#: and sometimes after a restart. Steps that run again take its place, for later builds, too. The
#: name is one of BuildKit's own: that of the race above is a digest.
_LOST_FILES = re.compile(r"\bsnapshot [a-z0-9]{25} does not exist")


def build(
    client: Client,
    spec: BuildSpec,
    listener: Listener,
    *,
    note: Callable[[BuildRecord], None] | None = None,
) -> BuildRecord:
    """Run a build and return its record; call `note` with the record, also if the build fails.

    Raises:
        ImagesError: the build failed; the class says how.
    """
    began = time.monotonic()
    spec = _with_metadata(spec)
    record = new_record(client, spec, build_command(client, spec))
    try:
        completed, last, record = _attempts(client, spec, record, listener)
        if completed.returncode:
            base = cache_errors.broken_base(record)
            about = f"{spec.identity}: a layer of the base image {base} could not be fetched"
            subject = about if base else spec.identity
            raise classification.classify(completed, subject, record.steps)
        metadata = paths.read_json(spec.run.own_metadata)
        record = replace(record, digest=str(metadata.get("containerimage.digest", "")))
        if not record.steps:  # BuildKit's own display had the events
            reference = str(metadata.get("buildx.build.ref", ""))
            record = attempt.replay(client, last, reference, record, listener)
        record = _with_export(record, spec, manifest="cache.manifest" in metadata)
    except BaseException as error:
        record = _with_outcome(record, error)
        raise
    finally:
        with contextlib.suppress(OSError):
            spec.run.own_metadata.unlink()
        record = replace(record, seconds=round(time.monotonic() - began, 3))
        if note:
            note(record)
    return record


def new_record(client: Client, spec: BuildSpec, command: Command = ()) -> BuildRecord:
    """Return the record of a build that has not begun."""
    return BuildRecord(
        spec.identity,
        began=datetime.now(UTC).isoformat(timespec="microseconds"),  # it orders builds
        commit=dict(spec.inputs.arguments).get("COMMIT_SHA", ""),
        branch=spec.output.branch,
        kind=spec.build.image_name,
        python=spec.build.python,
        platforms=tuple(map(str, spec.platforms)),
        image=spec.output.image,
        tags=spec.output.tags,
        output=spec.output.kind.value,
        builder=client.builder(spec.run.builder),
        command=process.quote(command, client.environment),
        arguments={name: redact(value) for name, value in spec.inputs.arguments},
        cache_disabled=not spec.cache.enabled,
        imports=_left_out(spec),
        export=CacheUse(spec.cache.export.reference) if spec.cache.export else None,
    )


def _with_metadata(spec: BuildSpec) -> BuildSpec:
    """Return the build with a metadata file that can be written.

    It holds the digest; buildx fails a build that it has pushed if it cannot write the file.
    """
    problem = None
    for folder in (spec.run.metadata.parent, Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as probe:
                probe.write(b" " * _METADATA)
        except OSError as error:
            problem = problem or error
        else:
            metadata = folder / spec.run.metadata.name
            return replace(spec, run=replace(spec.run, metadata=metadata))
    reason = problem.strerror if problem else ""
    raise DiskError(f"{spec.identity}: {spec.run.metadata.parent} cannot be written: {reason}")


def _attempts(
    client: Client, spec: BuildSpec, start: BuildRecord, listener: Listener
) -> tuple[Completed, BuildSpec, BuildRecord]:
    """Return the last attempt: its command, the build as it was made, and the record.

    The record has all steps that the build executed, in whichever attempt.
    """
    races, began = 0, time.monotonic()
    earlier: BuildRecord | None = None
    while True:
        seconds = time.monotonic() - began
        spec.run.own_metadata.unlink(missing_ok=True)
        process.remove_if_killed(spec.run.own_metadata)
        spec.run.own_metadata.touch()  # a full disk has no room for it later
        completed, record = attempt.run(client, spec, start, listener)
        if earlier:
            record = record.continuing(earlier, seconds)
        earlier = record
        if spec.cache.enabled and _lost_files(completed, record):
            listener.say(
                spec.identity,
                "the builder has lost the files of a cached step, perhaps when a build was "
                "cancelled: building again without cached steps",
            )
            spec = replace(spec, cache=replace(spec.cache, enabled=False))
            start = replace(start, cache_disabled=True)
        elif not completed.returncode:
            return completed, spec, record
        elif lost := cache_errors.lost(spec, completed.stderr, record):
            for reference, error in lost.items():
                reason = cache_errors.reason(error)
                listener.say(
                    spec.identity,
                    f"a layer of the cache {reference} could not be fetched ({reason}): "
                    "retrying without that cache",
                )
            reasons = {reference: redact(error) for reference, error in lost.items()}
            spec = replace(spec, cache=spec.cache.without(reasons))
            start = replace(start, imports=_left_out(spec))
        elif races < RACES and (race := _lost_race(completed.stderr)):
            races += 1
            listener.say(spec.identity, f"{race}: retrying")
        else:
            return completed, spec, record
        start = replace(start, attempts=start.attempts + 1)


def _left_out(spec: BuildSpec) -> tuple[CacheUse, ...]:
    """Return the caches of the build that BuildKit is not asked to import."""
    return tuple(CacheUse(name, error, left_out=True) for name, error in spec.cache.left_out)


def _with_export(record: BuildRecord, spec: BuildSpec, *, manifest: bool) -> BuildRecord:
    """Return the record of a build with an error for a cache that was not written.

    buildx's metadata has the manifests of caches in registries and folders. An inline cache is
    part of the image; every other export is a vertex.
    """
    target, export = spec.cache.export, record.export
    if target is None or export is None:
        return record
    if manifest:
        written = True
    elif export.error:
        written = False
    elif target.type is BackendType.INLINE:
        written = spec.output.kind is not Output.NONE
    elif record.steps:
        written = any(is_cache_export(step.name) for step in record.steps)
    else:
        # BuildKit's own display showed no error, and the builder has no events.
        written = target.type is not BackendType.REGISTRY
    error = "" if written else export.error or cache_errors.UNKNOWN
    return replace(record, export=replace(export, error=error))


def _with_outcome(record: BuildRecord, error: BaseException) -> BuildRecord:
    """Return the record of a build that ended with an error."""
    if isinstance(error, KeyboardInterrupt):
        return replace(record, outcome="cancelled")
    if isinstance(error, OSError):
        error = from_os_error(error)
    kind = error.kind if isinstance(error, ImagesError) else type(error).__name__.lower()
    return replace(record, outcome="failed", failure=kind, message=redact(str(error)))


def _lost_files(completed: Completed, record: BuildRecord) -> bool:
    """Return whether a build, or the export of its cache, failed for lack of a step's files."""
    error = record.export.error if record.export else ""
    if completed.returncode:
        error = classification.last_error(completed.stderr)
    return _LOST_FILES.search(error) is not None


def _lost_race(output: str) -> str:
    """Return the race in the engine's image store that failed a build; empty if none did."""
    end = output[-_TAIL:]
    return next((race for pattern, race in _LOST_RACES if pattern.search(end)), "")
