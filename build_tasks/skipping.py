"""Tag an image that the registry has, in place of building the same again."""

from __future__ import annotations

from collections.abc import Sequence

from build_tasks import advice, contents, process
from build_tasks.advice.holdings import Holding
from build_tasks.client import Client
from build_tasks.errors import RegistryError
from build_tasks.process import Command
from build_tasks.spec import BuildSpec

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
    for reference in dict.fromkeys((*one.tags[:1], f"{one.image}:{advice.default_tag(one)}")):
        found = [_unchanged(client, reference, spec) for spec in specs]
        held = [holding for holding in found if holding]
        if len(held) < len(specs):
            continue
        if len(specs) == 1:
            return held[0].digest
        if set(held[0].beside) == {spec.platform.value for spec in specs}:
            return held[0].index
    return ""


def tag_command(client: Client, spec: BuildSpec, digest: str) -> Command:
    """Return the command that gives a build's tags to an image that the registry has."""
    tags = [word for tag in spec.tags for word in ("--tag", tag)]
    source = f"{spec.image}@{digest}"
    return (*client.buildx, "imagetools", "create", "--builder", spec.builder, *tags, source)


def _unchanged(client: Client, reference: str, spec: BuildSpec) -> Holding | None:
    """Return what the registry has for a platform, if that is what a build would make."""
    found = advice.of_registry(client, reference, spec)
    if not isinstance(found, Holding):
        return None
    inputs = contents.gather(spec)
    base = advice.of_registry(client, inputs.base, spec)
    known = isinstance(base, Holding)
    return found if known and not advice.changed(found, inputs, base) else None
