"""Turn builds into jobs: one for each build, and one for each merge of platforms."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from build_tasks.batch.run_recorder import RunRecorder
from build_tasks.batch.schedule import Job
from build_tasks.buildx import cache_errors, runner
from build_tasks.buildx.cache_lookup import Lookup
from build_tasks.buildx.toolchain import Client
from build_tasks.check import skip_unchanged
from build_tasks.errors import RegistryError
from build_tasks.history import recipe
from build_tasks.history.record import BuildRecord
from build_tasks.model.build import BuildSpec, DigestFile, Output
from build_tasks.progress.base import Display
from build_tasks.publish import digests
from build_tasks.publish.merge import Merge


@dataclass(frozen=True)
class BatchContext:
    """What the jobs of one run share."""

    client: Client
    folder: Path  # of digest files
    display: Display
    recorder: RunRecorder
    caches: Lookup
    single: bool = False  # the run has one build
    #: The images pushed for a merge, by identity.
    parts: dict[str, DigestFile] = field(default_factory=dict)


def jobs(context: BatchContext, specs: Sequence[BuildSpec]) -> list[Job]:
    """Return the jobs of builds, of which those of one image are next to each other."""
    result: list[Job] = []
    for _, group in groupby(specs, key=lambda spec: spec.output.image):
        of_image = list(group)
        names = tuple(spec.identity for spec in of_image if not spec.output.extra_platforms)
        tag_unchanged = _once(partial(skip_unchanged.tag_unchanged, context.client, of_image))
        for spec in of_image:
            needs = names if spec.output.extra_platforms else ()
            result.append(Job(spec.identity, partial(_build, context, spec, tag_unchanged), needs))
        if all(spec.output.digest_file for spec in of_image) and of_image[0].output.tags:
            work = partial(_merge, context, of_image, tag_unchanged)
            result.append(Job(of_image[0].build.image_identity, work, names))
    return result


def _once(function: Callable[[], str]) -> Callable[[], str]:
    """Return a function that calls another one once, for whichever thread is the first."""
    lock = threading.Lock()
    results: list[str] = []

    def call() -> str:
        with lock:
            if not results:
                results.append(function())
        return results[0]

    return call


def _build(context: BatchContext, spec: BuildSpec, tag_unchanged: Callable[[], str]) -> str:
    """Build one image, and return a line on the result."""
    say = partial(context.display.say, spec.identity)
    part = spec.output.digest_file
    merged_here = bool(spec.output.tags)
    if spec.run.refused:
        context.recorder.add_refused(spec, spec.run.refused)
        raise spec.run.refused
    if spec.output.skip_unchanged and (digest := tag_unchanged()):
        context.recorder.add_skipped(spec, digest)
        text = "unchanged" if part else _unchanged(spec, digest)
        context.display.result(spec.identity, text)
        return text
    if part:
        digests.remove(context.folder, spec.build, merged_here=merged_here)
    spec = context.caches.readable(spec, say)
    record = partial(context.recorder.add, spec)
    built = runner.build(context.client, spec, context.display, note=record)
    for note in cache_errors.notes(built, spec):
        say(note)
    problem = cache_errors.export_problem(built)
    if problem and spec.output.kind is Output.NONE:
        raise RegistryError(f"{spec.identity}: {problem}")
    if context.single:
        for line in context.recorder.summarize(spec):
            say(line)
    text = _result(built, spec)
    context.display.result(spec.identity, text)
    if part:
        base = spec.inputs.base_digest or recipe.recipe(built).digest(spec.inputs.base)
        part = replace(part, base=base)
        context.parts[spec.identity] = digests.record(
            context.folder, part, built.digest, say, merged_here=merged_here
        )
    if spec.run.strict_cache and (error := cache_errors.strict(built, spec)):
        raise error
    return text


def _merge(
    context: BatchContext, specs: Sequence[BuildSpec], tag_unchanged: Callable[[], str]
) -> str:
    """Merge the platforms of an image, and return a line on the result."""
    name = specs[0].build.image_identity
    if specs[0].output.skip_unchanged and (digest := tag_unchanged()):
        text = _unchanged(specs[0], digest)
    else:
        sources = tuple(context.parts[spec.identity] for spec in specs)
        digests.check_bases(sources)
        merge = Merge(specs[0].run.builder, sources, specs[0].output.tags)
        digest = merge.run(context.client, partial(context.display.text, name))
        text = f"{merge.summary} {digest}"
    context.display.result(name, text)
    return text


def _unchanged(spec: BuildSpec, digest: str) -> str:
    return f"unchanged, tagged {', '.join(spec.output.tags)} {digest}"


def _result(built: BuildRecord, spec: BuildSpec) -> str:
    output = spec.output
    if output.kind is Output.NONE:
        return f"wrote {spec.cache.export.reference}" if spec.cache.export else "built"
    verb = "loaded" if output.kind is Output.LOAD else "pushed"
    subject = output.image if output.kind is Output.DIGEST else ", ".join(output.tags)
    return f"{verb} {subject} {built.digest}".rstrip()
