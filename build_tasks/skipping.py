"""Tag an image that the registry has, in place of building the same again."""

from __future__ import annotations

from build_tasks import advice, contents, process
from build_tasks.advice.holdings import Holding
from build_tasks.client import Client
from build_tasks.errors import RegistryError
from build_tasks.process import Command
from build_tasks.spec import BuildSpec

#: Seconds for a registry to take a tag; no layer is moved.
TAGGING = 60.0


def take(client: Client, spec: BuildSpec) -> str:
    """Give a build's tags to what the registry has, if that is what the build would make.

    The commit, the build id and the date of such an image stay those of the build that made it.

    Args:
        client: the way to buildx.
        spec: the build, which pushes an image of one platform.

    Returns:
        The image's digest; empty if there is none, and the build has to be made.

    Raises:
        RegistryError: the registry has the image and does not take the tags.
    """
    digest = unchanged(client, spec)
    if digest:
        command = tag_command(client, spec, digest)
        process.echo(command, client.environment)
        ended = process.run(command, environment=client.environment, timeout=TAGGING, check=False)
        if ended.returncode:
            reason = (ended.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise RegistryError(f"{spec.identity}: {digest} cannot be tagged: {reason}")
    return digest


def unchanged(client: Client, spec: BuildSpec) -> str:
    """Return the digest under which the registry has what a build would make; empty if it has not.

    Looked at are the first of the tags that the image shall get, and the one that it gets when
    nobody names one. Where the registry, or that of the base image, is silent, nothing is known.
    """
    inputs = contents.gather(spec)
    base = advice.of_registry(client, inputs.base, spec)
    if not isinstance(base, Holding):
        return ""
    for reference in dict.fromkeys((*spec.tags[:1], f"{spec.image}:{advice.default_tag(spec)}")):
        found = advice.of_registry(client, reference, spec)
        if isinstance(found, Holding) and not advice.changed(found, inputs, base):
            return found.digest
    return ""


def tag_command(client: Client, spec: BuildSpec, digest: str) -> Command:
    """Return the command that gives a build's tags to an image that the registry has."""
    tags = [word for tag in spec.tags for word in ("--tag", tag)]
    source = f"{spec.image}@{digest}"
    return (*client.buildx, "imagetools", "create", "--builder", spec.builder, *tags, source)
