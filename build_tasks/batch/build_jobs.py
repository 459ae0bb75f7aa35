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
from build_tasks.buildx import commands
from build_tasks.buildx.cache_lookup import Lookup
from build_tasks.buildx.runner import Built
from build_tasks.buildx.toolchain import Client
from build_tasks.check import skip_unchanged
from build_tasks.errors import EngineError, RegistryError
from build_tasks.model.build import BuildSpec, Output
from build_tasks.model.digest_file import Part
from build_tasks.publish import multiplatform
from build_tasks.publish.digests import forget

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
class Here:
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
    parts: dict[str, Part] = field(default_factory=dict)


def jobs(here: Here, specs: Sequence[BuildSpec]) -> list[Job]:
    """Return the jobs that make builds, those of one image next to each other.

    The platforms of an image are jobs of their own; joining them is one more, that waits for all.
    """
    made: list[Job] = []
    for _, of_image in groupby(specs, key=lambda spec: spec.image):
        mine = list(of_image)
        single = [spec for spec in mine if not spec.also]
        names = tuple(spec.identity for spec in single)
        look = _Look(here, mine)
        for spec in mine:
            needs = names if spec.also else ()
            made.append(Job(spec.identity, partial(_build, here, spec, look), needs))
        if all(spec.part for spec in mine) and mine[0].tags:
            made.append(Job(merged(mine[0]), partial(_join, here, mine, look), names))
    return made


def merged(spec: BuildSpec) -> str:
    """Return what the image of all platforms is called, one of whose builds this is."""
    return spec.identity.removesuffix(f"-{spec.platform.architecture}")


class _Look:
    """Whether the registry has an image already: the first job that asks looks, for all of it."""

    def __init__(self, here: Here, specs: Sequence[BuildSpec]) -> None:
        self._here = here
        self._specs = specs
        self._lock = threading.Lock()
        self._found: str | None = None

    def take(self) -> str:
        """Return the digest of the image that was tagged in place of being built, or nothing.

        Raises:
            RegistryError: it is there, and the registry does not take the tags.
        """
        if not self._specs[0].skips:
            return ""
        with self._lock:
            if self._found is None:
                self._found = skip_unchanged.take(self._here.client, self._specs)
            return self._found

    def made(self, digest: str) -> Made:
        """Return what came of it."""
        return Made(f"unchanged, tagged {', '.join(self._specs[0].tags)} {digest}", digest)


def _build(here: Here, spec: BuildSpec, look: _Look) -> Made:
    if spec.refused:
        here.keeper.refuse(spec)
        raise EngineError(spec.refused)
    digest = look.take()
    if digest:
        here.keeper.skip(spec, digest)
        made = Made("unchanged", digest) if spec.part else look.made(digest)
        here.say(spec.identity, made.text)
        return made
    if spec.part:
        forget(here.folder, spec.part, merged_here=bool(spec.tags))
    keep = partial(here.keeper.note, spec)
    spec = here.caches.readable(spec, partial(here.say, spec.identity))
    if here.line:
        told = partial(here.line, spec.identity)
        built = commands.build(here.client, replace(spec, progress="rawjson"), told, note=keep)
    else:
        built = commands.build(here.client, spec, note=keep)
    here.keeper.complete(spec, built)
    made = _made(built, spec)
    say = partial(here.say, spec.identity)
    for note in built.notes(spec):
        say(note)
    if spec.cache.export and not built.cache_exported and spec.output is Output.NONE:
        raise RegistryError(f"{built.identity}: {built.notes(spec)[-1].removeprefix('warning: ')}")
    if here.alone:
        here.keeper.sum_up(spec, say)
    say(made.text)
    if spec.part:
        here.parts[spec.identity] = multiplatform.note(
            here.folder, spec.part, built, say, merged_here=bool(spec.tags)
        )
    strict = built.strict(spec)
    if strict:
        raise strict
    return made


def _join(here: Here, specs: Sequence[BuildSpec], look: _Look) -> Made:
    name = merged(specs[0])
    digest = look.take()
    if digest:
        here.say(name, look.made(digest).text)
        return look.made(digest)
    parts = [here.parts[spec.identity] for spec in specs]
    made = multiplatform.join(
        here.client,
        specs[0].builder,
        parts,
        specs[0].tags,
        line=partial(here.line, name) if here.line else None,
    )
    here.say(name, made.partition(": ")[2])
    return Made(*made.partition(": ")[2].rsplit(" ", 1))


def _made(built: Built, spec: BuildSpec) -> Made:
    """Return what a build made."""
    made = {
        Output.LOAD: f"loaded {', '.join(spec.tags)}",
        Output.PUSH: f"pushed {', '.join(spec.tags)}",
        Output.DIGEST: f"pushed {spec.image}",
        Output.NONE: f"wrote {spec.cache.export.reference}" if spec.cache.export else "built",
    }[spec.output]
    digest = built.digest if spec.output is not Output.NONE else ""
    return Made(f"{made} {digest}".rstrip(), digest)
