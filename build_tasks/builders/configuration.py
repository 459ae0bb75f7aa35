"""buildkitd.toml: what the BuildKits of a builder are told when they start."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from build_tasks import paths
from build_tasks.model.builder import Builder, Driver, Node

#: Where BuildKit finds it in a container.
FILE = "buildkitd.toml"


def text(builder: Builder) -> str:
    """Return the file's text; empty where nothing differs from what BuildKit does by itself.

    The ceiling is `maxUsedSpace`: what BuildKit called `keepBytes` before is a floor.
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
            # Plain HTTP, or HTTPS that nobody vouches for: BuildKit tries both.
            lines += ["http = true", "insecure = true"]
        lines.append("")
    return "\n".join(lines)


def flat(text: str) -> dict[str, str]:
    """Return what a file says, by dotted keys: buildx writes the same in another way."""
    try:
        return dict(_flat(paths.parse_toml(text)))
    except ValueError as error:
        return {"": f"no TOML: {error}"}


def beside(registry: str, builder: Builder, image: str) -> Builder:
    """Return the builder as it has to be made for a registry, on this engine.

    Args:
        registry: the registry that it will read and write.
        builder: the builder as it is defined.
        image: the image for nodes on the engine itself that name none; empty: buildx's own.
    """
    if builder.driver is not Driver.CONTAINER:
        return builder
    # In a network of its own a builder would look for a loopback registry in itself.
    near = {"network": "host"} if loopback(registry) else {}
    standing = {"image": image} if image else {}
    nodes = tuple(
        node if node.endpoint else _with(node, {**standing, **near}) for node in builder.nodes
    )
    insecure = (registry,) if loopback(registry) else ()
    return replace(
        builder, nodes=nodes, insecure=tuple(dict.fromkeys([*builder.insecure, *insecure]))
    )


def loopback(registry: str) -> bool:
    """Return whether a registry is this machine's own."""
    import ipaddress  # noqa: PLC0415 - not on the way of a build

    host = registry.rpartition(":")[0] or registry
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _flat(table: dict[str, object], before: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", json.dumps(value, default=str)


def _with(node: Node, options: dict[str, str]) -> Node:
    return replace(node, options=tuple({**options, **dict(node.options)}.items()))
