"""Tag an up-to-date image of the registry, instead of building the same image again."""

from __future__ import annotations

from collections.abc import Sequence

from build_tasks import process
from build_tasks.buildx import classification, imagetools
from build_tasks.buildx.toolchain import Client
from build_tasks.check import image_metadata, up_to_date
from build_tasks.check.image_metadata import ImageIndex
from build_tasks.errors import ImagesError
from build_tasks.model.build import BuildSpec
from build_tasks.plan import build_inputs

#: Seconds for a registry to create tags; no layer is moved.
TAGGING = 60.0


def tag_unchanged(client: Client, specs: Sequence[BuildSpec]) -> str:
    """Tag an up-to-date image of the registry with the tags of its builds, and return its digest.

    `specs` are the builds of one image, one for each platform. The image keeps the commit, the
    build id and the date of the build that made it.

    Returns:
        The digest; "" if there is no such image, and the builds are needed.

    Raises:
        ImagesError: the registry has the image but refuses the tags, or does not answer.
    """
    digest = unchanged(client, specs)
    if not digest:
        return ""
    output, builder = specs[0].output, specs[0].run.builder
    sources = (f"{output.image}@{digest}",)
    command = imagetools.create_command(client, builder, tags=output.tags, sources=sources)
    process.echo(command, client.environment)
    completed = process.run(command, environment=client.environment, timeout=TAGGING, check=False)
    if completed.returncode:
        subject = f"{specs[0].identity}: {digest} cannot be tagged"
        raise classification.of_registry(completed, subject)
    return digest


def unchanged(client: Client, specs: Sequence[BuildSpec]) -> str:
    """Return the digest of an up-to-date image in the registry, or "".

    The first of the tags to push and the default tag are looked up. A multi-platform image must
    have exactly the platforms to build, each up to date. If a registry does not answer, the image
    counts as out of date.
    """
    spec, builder = specs[0], specs[0].run.builder
    base = _index(client, spec.inputs.base, builder)
    if not base.images:
        return ""
    default = f"{spec.output.image}:{spec.build.tag}"
    for reference in dict.fromkeys((*spec.output.tags[:1], default)):
        index = _index(client, reference, builder)
        if not all(_is_current(index, base, each) for each in specs):
            continue
        if len(specs) == 1:
            return index.images[spec.build.platform].digest
        if index.images.keys() == {each.build.platform.value for each in specs}:
            return index.digest
    return ""


def _index(client: Client, reference: str, builder: str) -> ImageIndex:
    try:
        return image_metadata.of_registry(client, reference, builder)
    except ImagesError:
        return ImageIndex()


def _is_current(index: ImageIndex, base: ImageIndex, spec: BuildSpec) -> bool:
    image, base_image = (item.images.get(spec.build.platform) for item in (index, base))
    if not image or not base_image:
        return False
    return not up_to_date.changed_parts(image, build_inputs.collect(spec), base_image)
