"""Turn builds into jobs: one for each build, and one for each merge of platforms."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from build_tasks.batch import bases
from build_tasks.batch.bases import MadeImage
from build_tasks.batch.run_recorder import RunRecorder
from build_tasks.batch.schedule import Job
from build_tasks.buildx import cache_errors, imagetools, runner
from build_tasks.buildx.cache_lookup import Lookup
from build_tasks.buildx.classification import registry_host
from build_tasks.buildx.toolchain import Client
from build_tasks.check import reuse
from build_tasks.errors import RegistryError
from build_tasks.history import recipe
from build_tasks.history.record import BuildRecord, Reuse
from build_tasks.model.build import BuildSpec, DigestFile, Output
from build_tasks.model.cache_backends import BackendType
from build_tasks.progress.base import Display
from build_tasks.publish import digests
from build_tasks.publish.merge import Merge

#: The images that could be taken instead of a build; the last one was if it has a digest.
Looked = tuple[Reuse, ...]


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
    #: The images that builds of this run have made, by identity.
    made: dict[str, MadeImage] = field(default_factory=dict)


def jobs(context: BatchContext, specs: Sequence[BuildSpec]) -> list[Job]:
    """Return the jobs of builds, of which those of one image are next to each other."""
    result: list[Job] = []
    for _, group in groupby(specs, key=lambda spec: spec.output.image):
        of_image = list(group)
        names = tuple(spec.identity for spec in of_image if not spec.output.extra_platforms)
        take = _once(partial(_take, context, of_image))
        below = tuple(dict.fromkeys(spec.needs for spec in of_image if spec.needs))
        for spec in of_image:
            own = (spec.needs,) if spec.needs else ()
            needs = below if spec.output.reuse.candidates else own
            needs = (*needs, *(names if spec.output.extra_platforms else ()))
            result.append(Job(spec.identity, partial(_build, context, spec, take), needs))
        if all(spec.output.digest_file for spec in of_image) and of_image[0].output.tags:
            work = partial(_merge, context, of_image, take)
            result.append(Job(of_image[0].build.image_identity, work, names))
    return result


def _take(context: BatchContext, specs: Sequence[BuildSpec]) -> Looked:
    """Take an image instead of builds, which stand on what this run has made."""
    return reuse.take(context.client, [_based(context, spec) for spec in specs])


def _based(context: BatchContext, spec: BuildSpec) -> BuildSpec:
    """Return a build that stands on what this run has made, if it stands on that at all."""
    made = context.made[spec.needs] if spec.needs else None
    return bases.stand_on(context.client, spec, made) if made else spec


def _once(function: Callable[[], Looked]) -> Callable[[], Looked]:
    """Return a function that calls another one once, for whichever thread is the first."""
    lock = threading.Lock()
    results: list[Looked] = []

    def call() -> Looked:
        with lock:
            if not results:
                results.append(function())
        return results[0]

    return call


def _build(context: BatchContext, spec: BuildSpec, take: Callable[[], Looked]) -> str:
    """Build one image, and return a line on the result."""
    say = partial(context.display.say, spec.identity)
    part = spec.output.digest_file
    merged_here = bool(spec.output.tags)
    if spec.run.refused:
        context.recorder.add_refused(spec, spec.run.refused)
        raise spec.run.refused
    spec = _based(context, spec)
    looked = take() if spec.output.reuse.candidates else ()
    if taken := _taken(looked):
        source = f"{imagetools.name_of(taken.reference)}@{taken.digest}"
        context.made[spec.identity] = MadeImage(spec, taken.digest, source)
        return _skip(context, spec, looked, "unchanged" if part else _text(taken, spec))
    if looked:
        say("; ".join(one.text for one in looked))
        spec = _without_slow_registries(spec, looked)
    if part:
        digests.remove(context.folder, spec.build, merged_here=merged_here)
    spec = context.caches.readable(spec, say)

    def note(record: BuildRecord) -> None:
        context.recorder.add(spec, replace(record, reuse=looked))

    built = runner.build(context.client, spec, context.display, note=note)
    context.made[spec.identity] = MadeImage(spec, built.digest)
    _say_notes(context, spec, built)
    text = _result(built, spec)
    context.display.result(spec.identity, text)
    if part:
        # The platforms of an own image stand on images with digests of their own.
        own = spec.inputs.base_digest or recipe.recipe(built).digest(spec.inputs.base)
        part = replace(part, base="" if spec.needs else own)
        context.parts[spec.identity] = digests.record(
            context.folder, part, built.digest, say, merged_here=merged_here
        )
    if spec.run.strict_cache and (error := cache_errors.strict(built, spec)):
        raise error
    return text


def _merge(context: BatchContext, specs: Sequence[BuildSpec], take: Callable[[], Looked]) -> str:
    """Merge the platforms of an image, and return a line on the result."""
    name = specs[0].build.image_identity
    looked = take() if specs[0].output.reuse.candidates else ()
    if taken := _taken(looked):
        text = _text(taken, specs[0])
    else:
        sources = tuple(context.parts[spec.identity] for spec in specs)
        digests.check_bases(sources)
        merge = Merge(specs[0].run.builder, sources, specs[0].output.tags)
        digest = merge.run(context.client, partial(context.display.text, name))
        text = f"{merge.summary} {digest}"
    context.display.result(name, text)
    return text


def _without_slow_registries(spec: BuildSpec, looked: Looked) -> BuildSpec:
    """Return a build without the caches of registries that did not send an image in time.

    BuildKit would wait for the layers of these caches for as long as they take.
    """
    slow = {registry_host(one.reference) for one in looked if one.late}
    reasons = {
        cache.reference: "its registry did not send an image in time"
        for cache in spec.cache.imports
        if cache.type is BackendType.REGISTRY and registry_host(cache.reference) in slow
    }
    return replace(spec, cache=spec.cache.without(reasons)) if reasons else spec


def _skip(context: BatchContext, spec: BuildSpec, looked: Looked, text: str) -> str:
    """Record that an image was taken instead of a build, and return the line on it."""
    context.recorder.add_skipped(spec, looked)
    context.display.result(spec.identity, text)
    return text


def _say_notes(context: BatchContext, spec: BuildSpec, built: BuildRecord) -> None:
    """Say what a build could not read or write of caches, and sum it up if it is the only one.

    Raises:
        RegistryError: the cache was all that the build was to write, and was not written.
    """
    say = partial(context.display.say, spec.identity)
    for line in cache_errors.notes(built, spec):
        say(line)
    problem = cache_errors.export_problem(built)
    if problem and spec.output.kind is Output.NONE:
        raise RegistryError(f"{spec.identity}: {problem}")
    if context.single:
        for line in context.recorder.summarize(spec):
            say(line)


def _taken(looked: Looked) -> Reuse | None:
    """Return the image that was taken instead of a build, None if none was."""
    return looked[-1] if looked and looked[-1].digest else None


def _text(taken: Reuse, spec: BuildSpec) -> str:
    tags = ", ".join(spec.output.tags)
    if taken.reference.startswith(f"{spec.output.image}:") and spec.output.kind.pushes:
        return f"unchanged, tagged {tags} {taken.digest}"
    return f"{taken.text}; {'tagged' if spec.output.kind.pushes else 'loaded as'} {tags}"


def _result(built: BuildRecord, spec: BuildSpec) -> str:
    output = spec.output
    if output.kind is Output.NONE:
        return f"wrote {spec.cache.export.reference}" if spec.cache.export else "built"
    verb = "loaded" if output.kind is Output.LOAD else "pushed"
    subject = output.image if output.kind is Output.DIGEST else ", ".join(output.tags)
    return f"{verb} {subject} {built.digest}".rstrip()
