"""Tag an image that the registry has, in place of building the same again."""

from __future__ import annotations

from collections.abc import Sequence

from build_tasks import process
from build_tasks.buildx.toolchain import Client
from build_tasks.check import up_to_date
from build_tasks.check.image_metadata import ImageIndex, PlatformImage
from build_tasks.errors import RegistryError
from build_tasks.model.build import BuildSpec
from build_tasks.plan import build_inputs
from build_tasks.process import Command

#: Seconds for a registry to take a tag; no layer is moved.
TAGGING = 60.0


def take(client: Client, specs: Sequence[BuildSpec]) -> str:
    """Give an image's tags to what the registry has, if that is what its builds would make.

    The commit, the build id and the date of such an image stay those of the build that made it.

    Args:
        client: the way to buildx.
        specs: the builds of one image that is pushed, one for each platform.

    Returns:
        The image's digest; empty if there is none, and the builds have to be made.

    Raises:
        RegistryError: the registry has the image and does not take the tags.
    """
    digest = unchanged(client, specs)
    if digest:
        command = tag_command(client, specs[0], digest)
        process.echo(command, client.environment)
        ended = process.run(command, environment=client.environment, timeout=TAGGING, check=False)
        if ended.returncode:
            reason = (ended.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise RegistryError(f"{specs[0].identity}: {digest} cannot be tagged: {reason}")
    return digest


def unchanged(client: Client, specs: Sequence[BuildSpec]) -> str:
    """Return the digest under which the registry has what builds would make; empty if it has not.

    Looked at are the first of the tags that the image shall get, and the one that it gets when
    nobody names one. Where the registry, or that of the base image, is silent, nothing is known. An
    image of several platforms has to have exactly those that are to be built, each unchanged.
    """
    one = specs[0]
    base = up_to_date.whole(client, build_inputs.collect(one).base, one.run.builder)
    if not isinstance(base, ImageIndex):
        return ""
    for reference in dict.fromkeys((*one.output.tags[:1], f"{one.output.image}:{one.build.tag}")):
        found = up_to_date.whole(client, reference, one.run.builder)
        if not isinstance(found, ImageIndex):
            continue
        held = [image for spec in specs if (image := _unchanged(found, base, spec))]
        if len(held) < len(specs):
            continue
        if len(specs) == 1:
            return held[0].digest
        if found.images.keys() == {spec.build.platform.value for spec in specs}:
            return found.digest
    return ""


def tag_command(client: Client, spec: BuildSpec, digest: str) -> Command:
    """Return the command that gives a build's tags to an image that the registry has."""
    tags = [word for tag in spec.output.tags for word in ("--tag", tag)]
    source = f"{spec.output.image}@{digest}"
    return (
        *client.buildx,
        "imagetools",
        "create",
        *client.with_builder(spec.run.builder),
        *tags,
        source,
    )


def _unchanged(found: ImageIndex, base: ImageIndex, spec: BuildSpec) -> PlatformImage | None:
    """Return the image of a build's platform, if that is what the build would make."""
    image, below = found.of(spec.build.platform), base.of(spec.build.platform)
    if image is None or below is None:
        return None
    return None if up_to_date.changed(image, build_inputs.collect(spec), below) else image
