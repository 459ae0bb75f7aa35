"""Take an image of the registry that is what a build would make, instead of building it.

An image under the build's own name is compared by its label and by the layers of its base. That of
another branch is read by digest, and has to have the layers and the configuration that the branch's
own builds make, too. Whatever goes wrong is a reason to build.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from build_tasks import process
from build_tasks.buildx import classification, docker, imagetools
from build_tasks.buildx.imagetools import RegistryTimeout
from build_tasks.buildx.toolchain import Client
from build_tasks.check import content, image_metadata, up_to_date
from build_tasks.check.content import CacheLayers
from build_tasks.check.image_metadata import PlatformImage
from build_tasks.errors import CommandTimeout, ImagesError, MissingImage
from build_tasks.history.record import Reuse
from build_tasks.inputs import dockerfile
from build_tasks.inputs.dockerfile import inputs
from build_tasks.inputs.fingerprint import LATE, Inputs
from build_tasks.model.build import BuildSpec, Candidate, Output
from build_tasks.plan import build_inputs
from build_tasks.process import Command
from build_tasks.text.formatting import listed

#: Seconds for a registry to create tags; no layer is moved.
TAGGING = 60.0
#: Why an image is taken.
SAME = "its inputs, base image and platform are the same"
PROVEN = f"{SAME}, and its layers are those of the branch's cache"
#: The variables of BuildKit that are known before a build.
_PLATFORM = ("TARGETPLATFORM", "TARGETOS", "TARGETARCH")


@dataclass(frozen=True)
class _Found:
    """An image that can be taken: a reference by digest, and why."""

    reference: str
    why: str

    @property
    def digest(self) -> str:
        return self.reference.partition("@")[2]


class _Unusable(ImagesError):
    """Report why an image is not taken.

    Args:
        reason: why.
        late: it was not there in time.
    """

    def __init__(self, reason: str, *, late: bool = False) -> None:
        super().__init__(reason)
        self.late = late


def _unusable(error: ImagesError) -> _Unusable:
    if isinstance(error, _Unusable):
        return error
    return _Unusable(str(error), late=isinstance(error, CommandTimeout | RegistryTimeout))


class _Deadline:
    """The seconds in which an image has to be there."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left, or raise CommandTimeout."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise CommandTimeout(f"it was not there within {self._seconds:g} s")
        return left

    def answer(self) -> float:
        """Return the seconds in which a registry has to answer."""
        return min(self.left(), imagetools.ANSWER)


def take(client: Client, specs: Sequence[BuildSpec]) -> tuple[Reuse, ...]:
    """Take the first image that is what the builds would make: tag it, or pull and tag it.

    `specs` are the builds of one image, one for each platform. The image keeps the commit, the
    build id and the date of the build that made it.

    Returns:
        What was looked at, in order. The last one has a digest if it was taken.

    Raises:
        ImagesError: the registry has an up-to-date image under the build's own name, and refuses
            the tags.
    """
    looked: list[Reuse] = []
    plan = specs[0].output.reuse
    deadline = _Deadline(plan.deadline or TAGGING)
    for number, candidate in enumerate(plan.candidates):
        began = time.monotonic()
        reference, digest, late = candidate.reference, "", False
        candidates = [spec.output.reuse.candidates[number] for spec in specs]
        try:
            found = _find(client, specs, candidates, deadline)
            try:
                _apply(client, specs[0], found, deadline)
            except ImagesError as error:
                if candidate.cache is None:
                    raise
                raise _unusable(error) from None
            digest, reason = found.digest, found.why
        except _Unusable as error:
            reason, late = str(error).removeprefix(f"{reference}: "), error.late
        seconds = round(time.monotonic() - began, 3)
        looked.append(Reuse(reference, digest, reason, late, seconds))
        if digest:
            break
    return tuple(looked)


def _find(
    client: Client,
    specs: Sequence[BuildSpec],
    candidates: Sequence[Candidate],
    deadline: _Deadline,
) -> _Found:
    try:
        if candidates[0].cache is None:
            return _under_own_name(client, specs, candidates[0].reference)
        return _of_branch(client, specs, candidates, deadline)
    except ImagesError as error:
        raise _unusable(error) from None


def _under_own_name(client: Client, specs: Sequence[BuildSpec], reference: str) -> _Found:
    """Return an up-to-date image.

    One of several platforms has to have exactly the platforms to build, each up to date.
    """
    spec, builder = specs[0], specs[0].run.builder
    # The base images of several platforms, if this run made them, are not in one index.
    references = dict.fromkeys(each.inputs.registry_base for each in specs)
    bases = {text: image_metadata.of_registry(client, text, builder) for text in references}
    index = image_metadata.of_registry(client, reference, builder)
    for each in specs:
        platform = each.build.platform
        image = index.images.get(platform)
        base_image = bases[each.inputs.registry_base].images.get(platform)
        if base_image is None:
            raise MissingImage(f"{each.inputs.registry_base}: not found for {platform}")
        if image is None:
            raise MissingImage(f"{reference}: not found for {platform}")
        _require_current(image, build_inputs.collect(each), base_image)
    image_name = spec.output.image
    if len(specs) == 1:
        return _Found(f"{image_name}@{index.images[spec.build.platform].digest}", SAME)
    _require_platforms(index.images, specs)
    return _Found(f"{image_name}@{index.digest}", SAME)


def _of_branch(
    client: Client,
    specs: Sequence[BuildSpec],
    candidates: Sequence[Candidate],
    deadline: _Deadline,
) -> _Found:
    """Return an image of which each platform has what the branch's builds give it."""
    reference, builder = candidates[0].reference, specs[0].run.builder
    index = imagetools.index(client, reference, builder, timeout=deadline.answer())
    pinned = f"{imagetools.name_of(reference)}@{index.digest}"
    images = [
        _proven(client, spec, pinned, candidate.cache or "", deadline)
        for spec, candidate in zip(specs, candidates, strict=True)
    ]
    if len(specs) > 1:
        _require_platforms(dict(index.platforms), specs)
        return _Found(pinned, PROVEN)
    return _Found(f"{imagetools.name_of(reference)}@{images[0].digest}", PROVEN)


def _proven(
    client: Client, spec: BuildSpec, pinned: str, cache: str, deadline: _Deadline
) -> PlatformImage:
    """Return an image for one platform, if it has what the builds of its branch give it."""
    if not cache:
        raise _Unusable("the branch's cache is in no registry, so its layers cannot be compared")
    builder, platform = spec.run.builder, spec.build.platform

    def read(reference: str) -> PlatformImage:
        return image_metadata.by_digest(client, reference, platform, builder, deadline.answer)

    with process.pool(3) as pool:  # the registries are asked at the same time
        work = [pool.submit(read, reference) for reference in (pinned, spec.inputs.registry_base)]
        layers = pool.submit(_cache_layers, client, cache, builder, deadline)
    image, base = (one.result() for one in work)
    built = build_inputs.collect(spec)
    _require_current(image, built, base)
    if dockerfile.not_understood(built.instructions):
        raise _Unusable("its Dockerfile has instructions that are not understood")
    arguments = {name: text for name, text in spec.inputs.arguments if name not in LATE}
    os, _, architecture = platform.value.partition("/")
    arguments |= dict(zip(_PLATFORM, (platform.value, os, architecture), strict=True))
    arguments |= content.late_arguments(image)
    made = inputs.outcome(built.instructions, arguments, base.variables, content.folder(base))
    argument = spec.inputs.base_argument
    if made.root != arguments.get(argument):
        raise _Unusable(f"its Dockerfile stands on {made.root or 'scratch'}, not on {argument}")
    problem = content.layer_problem(
        image, base, layers.result(), made.linked
    ) or content.config_problem(image, base, made, dict(spec.inputs.labels))
    if problem:
        raise _Unusable(f"{problem} ({image.digest})")
    return image


def _cache_layers(client: Client, reference: str, builder: str, deadline: _Deadline) -> CacheLayers:
    manifest = imagetools.inspect(client, reference, builder, timeout=deadline.answer())
    digest = content.config_digest(manifest, reference)
    name = imagetools.name_of(reference)
    config = imagetools.fetch(client, name, digest, builder, timeout=deadline.answer())
    return content.cache_layers(manifest, config, reference)


def _require_current(image: PlatformImage, built: Inputs, base: PlatformImage) -> None:
    changed = up_to_date.changed_parts(image, built, base)
    if changed:
        raise _Unusable(f"changed since it was built: {listed(changed)}")


def _require_platforms(images: Mapping[str, object], specs: Sequence[BuildSpec]) -> None:
    wanted = {spec.build.platform.value for spec in specs}
    if images.keys() != wanted:
        raise _Unusable(f"it is for {listed(sorted(images))}, not for {listed(sorted(wanted))}")


def _apply(client: Client, spec: BuildSpec, found: _Found, deadline: _Deadline) -> None:
    """Give an image the tags of a build: in the registry, or in the engine."""
    output, builder = spec.output, spec.run.builder
    subject = f"{spec.identity}: {found.digest} cannot be tagged"
    if output.kind is not Output.LOAD:
        tags, sources = output.tags, (found.reference,)
        create = imagetools.create_command(client, builder, tags=tags, sources=sources)
        _run(client, create, subject, min(deadline.left(), TAGGING))
        return
    pull = docker.pull_command(client, found.reference, spec.build.platform)
    _run(client, pull, found.reference, deadline.left())
    for tag in output.tags:
        _run(client, docker.tag_command(client, found.reference, tag), subject, TAGGING)


def _run(client: Client, command: Command, subject: str, timeout: float) -> None:
    process.echo(command, client.environment)
    try:
        completed = process.run(
            command, environment=client.environment, timeout=timeout, check=False
        )
    except CommandTimeout:
        raise CommandTimeout(f"{subject}: it was not there within {timeout:.0f} s") from None
    if completed.returncode:
        raise classification.of_registry(completed, subject)
