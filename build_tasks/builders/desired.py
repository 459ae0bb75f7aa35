"""The desired state of a builder: its definition, and what this engine and registry add."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import replace
from urllib.parse import urlsplit

from build_tasks.buildx.toolchain import Client
from build_tasks.engine import stand_ins
from build_tasks.model.builder import Builder, Driver
from build_tasks.process import Announce
from build_tasks.text.formatting import listed

#: The name of BuildKit's configuration file in the container of a node.
FILE = "buildkitd.toml"
#: Part of the name of the image that replaces BuildKit's where Docker Hub is out of reach.
PLACEHOLDER = "/debian-buildkit:"


def desired_builder(
    client: Client, definition: Builder, registry: str, announce: Announce | None = None
) -> Builder:
    """Return a builder as it has to be created for a registry; without `announce`, make no image.

    Raises:
        EngineError: the image of BuildKit cannot be had.
    """
    remote = [node.name for node in definition.nodes if node.endpoint.startswith("ssh:")]
    remote += [definition.name] if definition.driver == Driver.KUBERNETES else []
    if remote and announce and is_loopback(registry):
        announce(
            f"warning: {registry} is on the loopback interface: {listed(remote)} cannot reach it"
        )
    return for_registry(registry, definition, _image(client, definition, announce))


def for_registry(registry: str, builder: Builder, image: str) -> Builder:
    """Return a builder with the options that it needs to reach a registry.

    The image is for nodes on the engine itself that name none; empty: buildx's own.
    """
    if builder.driver != Driver.CONTAINER:
        return builder
    # In its own network, the loopback interface is that of the container.
    loopback = is_loopback(registry)
    defaults = {"image": image} if image else {}
    if loopback:
        defaults["network"] = "host"
    nodes = tuple(
        replace(node, options=tuple((defaults | dict(node.options)).items()))
        if not node.endpoint
        else node
        for node in builder.nodes
    )
    insecure = dict.fromkeys([*builder.insecure, *([registry] if loopback else [])])
    return replace(builder, nodes=nodes, insecure=tuple(insecure))


def buildkitd_toml(builder: Builder) -> str:
    """Return the configuration of BuildKit; empty if its defaults are right.

    The limit is `maxUsedSpace`: `keepBytes` of older BuildKits is a lower limit.
    """
    lines = []
    if builder.max_used_space:
        lines += ["[worker.oci]", "gc = true", f"maxUsedSpace = {builder.max_used_space}", ""]
    mirrors = dict(builder.mirrors)
    for name in dict.fromkeys([*mirrors, *builder.insecure]):
        lines.append(f"[registry.{json.dumps(name)}]")
        if name in mirrors:
            lines.append(f"mirrors = {json.dumps(list(mirrors[name]))}")
        if name in builder.insecure:
            # BuildKit tries HTTPS without verification, then plain HTTP.
            lines += ["http = true", "insecure = true"]
        lines.append("")
    return "\n".join(lines)


def is_loopback(registry: str) -> bool:
    """Return whether a registry is on the loopback interface."""
    try:
        host = urlsplit(f"//{registry}").hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _image(client: Client, builder: Builder, announce: Announce | None) -> str:
    """Return the replacement for BuildKit's image if that cannot be pulled, otherwise ''."""
    embedded = client.embedded
    if embedded is None or embedded.hub or builder.driver != Driver.CONTAINER:
        return ""
    if all(node.endpoint or "image" in dict(node.options) for node in builder.nodes):
        return ""
    if announce is None:
        return stand_ins.buildkit_reference(embedded)
    return stand_ins.ensure_buildkit(embedded, announce)
