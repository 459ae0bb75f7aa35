"""A builder as it has to be made: what is defined, and what this engine and registry add."""

from __future__ import annotations

from collections.abc import Callable

from build_tasks.builders import configuration
from build_tasks.buildx.toolchain import Client
from build_tasks.model.builder import Builder, Driver
from build_tasks.text.formatting import listed

Announce = Callable[[str], None]


def wanted(
    client: Client, builder: Builder, registry: str, announce: Announce | None = None
) -> Builder:
    """Return a builder as it has to be made on this engine, for a registry.

    Args:
        client: the way to the engine.
        builder: the builder as it is defined.
        registry: the registry that it will read and write.
        announce: is told what is made for it; without it, nothing is made.

    Raises:
        EngineError: its image cannot be had.
    """
    far = [node.name for node in builder.nodes if node.endpoint.startswith("ssh:")]
    far += [builder.name] if builder.driver is Driver.KUBERNETES else []
    if far and announce and configuration.loopback(registry):
        announce(f"warning: {registry} is this machine's own: {listed(far)} cannot reach it")
    return configuration.beside(registry, builder, _image(client, builder, announce))


def _image(client: Client, builder: Builder, announce: Announce | None) -> str:
    """Return the stand-in for BuildKit's image, where that cannot be pulled."""
    embedded = client.embedded
    if embedded is None or embedded.hub or builder.driver is not Driver.CONTAINER:
        return ""
    if all(node.endpoint or "image" in dict(node.options) for node in builder.nodes):
        return ""
    from build_tasks.engine import images  # noqa: PLC0415 - the embedded engine's

    if announce is None:
        return images.buildkit_reference(embedded)
    return images.ensure_buildkit(embedded, announce)
