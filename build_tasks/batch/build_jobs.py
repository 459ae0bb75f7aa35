"""From builds to jobs: what each does, and which waits for which."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from build_tasks.batch.recorder import Keeper
from build_tasks.batch.schedule import Job
from build_tasks.buildx import runner
from build_tasks.buildx.cache_lookup import Lookup
from build_tasks.buildx.runner import Built
from build_tasks.buildx.toolchain import Client
from build_tasks.check import skip_unchanged
from build_tasks.errors import EngineError, RegistryError
from build_tasks.model.build import BuildSpec, Output
from build_tasks.model.digest_file import DigestFile
from build_tasks.publish import digests
from build_tasks.publish.merge import Merge

#: Is told the lines of a build: its identity, and one line.
Told = Callable[[str, str], None]


@dataclass(frozen=True)
class Made:
    """What came of a job that ended well.

    Args:
        text: what it made, for people.
        digest: what it is called; empty where nothing says it.
    """

    text: str
    digest: str = ""


@dataclass(frozen=True)
class BatchContext:
    """What the jobs of one run share.

    Args:
        client: the way to the engine.
        folder: where digests are written down.
        say: is told the suite's own lines about a build.
        keeper: keeps what the builds did.
        caches: knows which caches can be read.
        line: is told what buildx says; None where that goes to our stderr as it comes.
        alone: there is one build.
        parts: what was pushed for a merge, by identity.
    """

    client: Client
    folder: Path
    say: Told
    keeper: Keeper
    caches: Lookup
    line: Told | None = None
    alone: bool = False
    parts: dict[str, DigestFile] = field(default_factory=dict)


def jobs(context: BatchContext, specs: Sequence[BuildSpec]) -> list[Job]:
    """Return the jobs that make builds, those of one image next to each other.

    The platforms of an image are jobs of their own; joining them is one more, that waits for all.
    """
    made: list[Job] = []
    for _, of_image in groupby(specs, key=lambda spec: spec.output.image):
        mine = list(of_image)
        single = [spec for spec in mine if not spec.output.extra_platforms]
        names = tuple(spec.identity for spec in single)
        look = _Look(context, mine)
        for spec in mine:
            needs = names if spec.output.extra_platforms else ()
            made.append(Job(spec.identity, partial(_build, context, spec, look), needs))
        if all(spec.output.digest_file for spec in mine) and mine[0].output.tags:
            made.append(
                Job(mine[0].build.image_identity, partial(_join, context, mine, look), names)
            )
    return made


class _Look:
    """Whether the registry has an image already: the first job that asks looks, for all of it."""

    def __init__(self, context: BatchContext, specs: Sequence[BuildSpec]) -> None:
        self._here = context
        self._specs = specs
        self._lock = threading.Lock()
        self._found: str | None = None

    def take(self) -> str:
        """Return the digest of the image that was tagged in place of being built, or nothing.

        Raises:
            RegistryError: it is there, and the registry does not take the tags.
        """
        if not self._specs[0].output.skip_unchanged:
            return ""
        with self._lock:
            if self._found is None:
                self._found = skip_unchanged.tag_unchanged(self._here.client, self._specs)
            return self._found

    def made(self, digest: str) -> Made:
        """Return what came of it."""
        return Made(f"unchanged, tagged {', '.join(self._specs[0].output.tags)} {digest}", digest)


def _build(context: BatchContext, spec: BuildSpec, look: _Look) -> Made:
    if spec.run.refused:
        context.keeper.refuse(spec)
        raise EngineError(spec.run.refused)
    digest = look.take()
    if digest:
        context.keeper.skip(spec, digest)
        made = Made("unchanged", digest) if spec.output.digest_file else look.made(digest)
        context.say(spec.identity, made.text)
        return made
    if spec.output.digest_file:
        digests.remove(context.folder, spec.build, merged_here=bool(spec.output.tags))
    keep = partial(context.keeper.note, spec)
    spec = context.caches.readable(spec, partial(context.say, spec.identity))
    if context.line:
        told = partial(context.line, spec.identity)
        followed = replace(spec, run=replace(spec.run, progress="rawjson"))
        built = runner.build(context.client, followed, told, note=keep)
    else:
        built = runner.build(context.client, spec, note=keep)
    context.keeper.complete(spec, built)
    made = _made(built, spec)
    say = partial(context.say, spec.identity)
    for note in built.notes(spec):
        say(note)
    if spec.cache.export and not built.cache_exported and spec.output.kind is Output.NONE:
        raise RegistryError(f"{built.identity}: {built.notes(spec)[-1].removeprefix('warning: ')}")
    if context.alone:
        context.keeper.sum_up(spec, say)
    say(made.text)
    if spec.output.digest_file:
        context.parts[spec.identity] = digests.record(
            context.folder,
            spec.output.digest_file,
            built.digest,
            say,
            merged_here=bool(spec.output.tags),
        )
    strict = built.strict(spec)
    if strict:
        raise strict
    return made


def _join(context: BatchContext, specs: Sequence[BuildSpec], look: _Look) -> Made:
    name = specs[0].build.image_identity
    digest = look.take()
    if digest:
        context.say(name, look.made(digest).text)
        return look.made(digest)
    sources = tuple(context.parts[spec.identity] for spec in specs)
    merge = Merge(specs[0].run.builder, sources, specs[0].output.tags)
    digest = merge.run(context.client, partial(context.line, name) if context.line else None)
    context.say(name, f"{merge.summary} {digest}")
    return Made(merge.summary, digest)


def _made(built: Built, spec: BuildSpec) -> Made:
    """Return what a build made."""
    made = {
        Output.LOAD: f"loaded {', '.join(spec.output.tags)}",
        Output.PUSH: f"pushed {', '.join(spec.output.tags)}",
        Output.DIGEST: f"pushed {spec.output.image}",
        Output.NONE: f"wrote {spec.cache.export.reference}" if spec.cache.export else "built",
    }[spec.output.kind]
    digest = built.digest if spec.output.kind is not Output.NONE else ""
    return Made(f"{made} {digest}".rstrip(), digest)
