"""One build, tried until it is made or cannot be: the image is what matters, caches only help."""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from build_tasks import console, process
from build_tasks.buildx import attempt, cache_errors
from build_tasks.buildx.attempt import Attempt, Line
from build_tasks.buildx.commands import build_command
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import DiskError, ImagesError, RegistryError
from build_tasks.history.record import BuildRecord, CacheUse
from build_tasks.history.vertex_names import is_cache_export
from build_tasks.model.build import BuildSpec, Output
from build_tasks.model.cache_backends import BackendType
from build_tasks.process import Command
from build_tasks.text.redaction import redact

#: Times that a build is repeated because of a race in the engine's image store.
RACES = 3
_LAST = 4096
#: Bytes that the metadata of a build takes at most, with its provenance.
_METADATA = 128 * 1024
#: Lost races in the containerd image store, by the words that the build ends with. Everything is
#: built by then, so another attempt repeats no step.
_LOST_RACES = (
    # moby/buildkit#6521, open in 2026
    (
        re.compile(r"failed to prepare extraction snapshot.*does not exist", re.DOTALL),
        "the engine's image store collected a layer while it was being unpacked",
    ),
    # The store looks for the name, finds none, and another build has given it away meanwhile.
    (
        re.compile(r'image "[^"]+": already exists'),
        "another build loaded an image of this name at the same time",
    ),
)


@dataclass(frozen=True)
class Built:
    """A build that ended well.

    Args:
        identity: the build's name.
        digest: what a registry calls the pushed image, or the engine the loaded one; empty where
            the engine does not say.
        cache_exported: the cache reference was written.
        record: what it did; without its steps where BuildKit's own display was shown (`complete`
            adds them).
        reference: what buildx calls it, to ask its builder for more; empty if it does not say.
    """

    identity: str
    digest: str
    cache_exported: bool
    record: BuildRecord = field(default=BuildRecord(""), compare=False, repr=False)
    reference: str = field(default="", compare=False)

    def notes(self, spec: BuildSpec) -> list[str]:
        """Return a line for each cache that was not read or not written, and why."""
        return cache_errors.notes(self.record, spec)

    def strict(self, spec: BuildSpec) -> RegistryError | None:
        """Return the error that the build is though its image is made, if caches have to work."""
        return cache_errors.strict(self.record, spec) if spec.run.strict_cache else None


def build(
    client: Client,
    spec: BuildSpec,
    line: Line | None = None,
    *,
    note: Callable[[BuildRecord], None] | None = None,
) -> Built:
    """Run one build. If the layers of a cache cannot be fetched, retry without that cache.

    On a terminal BuildKit shows its own display, and everywhere else if a display was asked for;
    otherwise one line per step is printed, and everything is written to a log file.

    Args:
        client: the way to the engine.
        spec: the build.
        line: is told BuildKit's events, each as one line of JSON, and whatever else buildx says,
            instead of our stderr.
        note: is told the record of the build, however it ended.

    Raises:
        ImagesError: the build failed; the class says in which way.
    """
    began = time.monotonic()
    spec = _with_metadata(spec)
    start = begun(client, spec, build_command(client, spec))
    record = start
    try:
        tried, spec, start = _tried(client, spec, start, line)
        record = tried.record(start, spec)
        if tried.ended.returncode:
            raise _failed(tried, spec, record)
        built = _built(client, spec, record)
        record = built.record
    except BaseException as error:
        record = _with_outcome(record, error)
        raise
    finally:
        with contextlib.suppress(OSError):
            spec.run.own_metadata.unlink()
        record = replace(record, seconds=round(time.monotonic() - began, 3))
        if note:
            note(record)
    return replace(built, record=record)


def complete(client: Client, spec: BuildSpec, built: Built) -> BuildRecord:
    """Return the record of a build with its steps, which its builder may have to be asked for.

    Args:
        client: the way to buildx.
        spec: the build.
        built: what came of it.
    """
    if built.record.steps:
        return built.record
    return attempt.replayed(client, spec, built.reference, built.record)


def _with_metadata(spec: BuildSpec) -> BuildSpec:
    """Return the build with a file for its metadata that buildx can write.

    The digest stands in it, and buildx fails a build that it has pushed if it cannot write it.

    Raises:
        DiskError: there is no such file.
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


def _tried(
    client: Client, spec: BuildSpec, start: BuildRecord, line: Line | None
) -> tuple[Attempt, BuildSpec, BuildRecord]:
    """Return the last attempt, and the build as it was tried last."""
    races = 0
    while True:
        spec.run.own_metadata.unlink(missing_ok=True)
        process.remove_if_killed(spec.run.own_metadata)
        # buildx writes it last, and fails a build that is made if it cannot.
        spec.run.own_metadata.touch()
        asked = attempt.followed(spec, told=line is not None)
        _tell(f"+ {process.quote(build_command(client, asked), client.environment)}", line)
        own = replace(asked, run=replace(asked.run, metadata=spec.run.own_metadata))
        tried = attempt.run(client, build_command(client, own), asked, spec.run.progress, line)
        if not tried.ended.returncode:
            return tried, spec, start
        lost = cache_errors.lost(spec, tried.ended.stderr, tried.record(start, spec))
        if lost:
            for reference, why in lost.items():
                _tell(f"{spec.identity}: {_without(reference, why)}", line)
            reasons = {reference: redact(why) for reference, why in lost.items()}
            spec = replace(spec, cache=spec.cache.without(reasons))
            start = replace(start, imports=_left_out(spec))
        elif races < RACES and (race := _lost_race(tried)):
            races += 1
            _tell(f"{spec.identity}: {race}: once more", line)
        else:
            return tried, spec, start
        start = replace(start, attempts=start.attempts + 1)


def begun(client: Client, spec: BuildSpec, command: Command) -> BuildRecord:
    """Return what is known of a build before it begins.

    Args:
        client: the way to the engine.
        spec: the build.
        command: the command that makes it; empty if none does.
    """
    return BuildRecord(
        spec.identity,
        began=datetime.now(UTC).isoformat(timespec="microseconds"),  # it orders builds
        commit=dict(spec.inputs.arguments).get("COMMIT_SHA", ""),
        branch=spec.output.branch,
        kind=spec.build.kind.value,
        python=spec.build.python,
        platforms=tuple(map(str, spec.platforms)),
        image=spec.output.image,
        tags=spec.output.tags,
        output=spec.output.kind.value,
        builder=client.builder(spec.run.builder),
        command=process.quote(command, client.environment),
        arguments={name: redact(value) for name, value in spec.inputs.arguments},
        imports=_left_out(spec),
        export=CacheUse(spec.cache.export.reference) if spec.cache.export else None,
    )


def _left_out(spec: BuildSpec) -> tuple[CacheUse, ...]:
    """Return the caches that BuildKit is not told of although the build was to read them."""
    return tuple(CacheUse(name, why, left_out=True) for name, why in spec.cache.left_out)


def _built(client: Client, spec: BuildSpec, record: BuildRecord) -> Built:
    try:
        found = json.loads(spec.run.own_metadata.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        found = None
    metadata: Mapping[str, Any] = found if isinstance(found, dict) else {}
    digest = str(metadata.get("containerimage.digest", ""))
    reference = str(metadata.get("buildx.build.ref", ""))
    manifest = "cache.manifest" in metadata
    record = replace(record, digest=digest)
    if _unclear(record, spec, manifest=manifest):
        record = attempt.replayed(client, spec, reference, record)
    export = record.export
    exported = export is not None and (manifest or _exported(record, spec))
    if export and not exported and not export.error:
        record = replace(record, export=replace(export, error=cache_errors.UNSAID))
    return Built(spec.identity, digest, exported, record, reference)


def _unclear(record: BuildRecord, spec: BuildSpec, *, manifest: bool) -> bool:
    """Return whether BuildKit's own display leaves open what became of the caches."""
    if record.steps:
        return False
    unsaid = any(use.error == cache_errors.UNSAID for use in record.imports)
    silent = bool(spec.run.strict_cache and spec.cache.imports)
    export = record.export
    return (
        unsaid
        or silent
        or bool(export and not manifest and export.error in {"", cache_errors.UNSAID})
    )


def _exported(record: BuildRecord, spec: BuildSpec) -> bool:
    """Return whether a cache was written whose manifest is not in buildx's metadata.

    Only exports to registries and folders report one. An inline cache is part of the image; every
    other export is a vertex, which ended without an error.
    """
    target = spec.cache.export
    if target is None or record.export is None or record.export.error:
        return False
    if target.type is BackendType.INLINE:
        return spec.output.kind is not Output.NONE
    if record.steps:
        return any(is_cache_export(step.name) for step in record.steps)
    # BuildKit's own display said nothing of an error, and the builder does not tell its events.
    return target.type is not BackendType.REGISTRY


def _without(reference: str, why: str) -> str:
    return (
        f"a layer of the cache {reference} could not be fetched ({cache_errors.reason(why)}): "
        "once more without that cache"
    )


def _with_outcome(record: BuildRecord, error: BaseException) -> BuildRecord:
    """Return what the record says of a build that ended with an error."""
    if isinstance(error, KeyboardInterrupt):
        return replace(record, outcome="cancelled")
    kind = type(error).__name__.removesuffix("Error").lower()
    return replace(record, outcome="failed", failure=kind, message=redact(str(error)))


def _tell(text: str, line: Line | None) -> None:
    if line:
        line(text)
    else:
        console.message(text)


def _lost_race(tried: Attempt) -> str:
    """Return which race in the engine's image store made a build fail; empty if none did."""
    last = tried.ended.stderr[-_LAST:]
    return next((what for words, what in _LOST_RACES if words.search(last)), "")


def _failed(tried: Attempt, spec: BuildSpec, record: BuildRecord) -> ImagesError:
    from build_tasks.buildx import classification  # noqa: PLC0415 - start-up time of the builds that succeed

    base = cache_errors.broken_base(record)
    about = f"{spec.identity}: a layer of the base image {base} could not be fetched"
    return classification.classify(tried.ended, about if base else spec.identity)
