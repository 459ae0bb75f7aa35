"""The nodes of a builder: what they report, and which one gets the build of a platform."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from build_tasks.builders import store
from build_tasks.buildx import commands, management
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import EngineError
from build_tasks.model.builder import Builder, Node
from build_tasks.model.matrix import Platform
from build_tasks.text import hints

#: Limits in a garbage collection rule of BuildKit; before 0.17 it has only the last one.
_LIMITS = {
    "reservedSpace": "reserved-space",
    "maxUsedSpace": "max-used-space",
    "minFreeSpace": "min-free-space",
    "keepBytes": "keep-bytes",
}


@dataclass(frozen=True)
class NodeStatus:
    """One node, as `buildx ls` reports it.

    Args:
        status: `running`, `stopped`, `inactive` or `error`.
        version: the version of BuildKit.
        assigned: the platforms that were set for it.
        platforms: all platforms that it can build for.
        collection: the rules of its garbage collection, with sizes in bytes.
    """

    name: str
    endpoint: str = ""
    status: str = ""
    error: str = ""
    version: str = ""
    assigned: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    collection: tuple[dict[str, object], ...] = ()

    @property
    def native(self) -> str:
        """The platform of the node's machine, empty if the platforms were set."""
        return self.platforms[0] if self.platforms and not self.assigned else ""


@dataclass(frozen=True)
class Route:
    """The node that gets the builds of a platform.

    Args:
        native: whether its machine is of that platform, as far as it is known.
        better: a native node that does not get them; empty if there is none.
    """

    node: str
    native: bool
    better: str = ""


def read(client: Client, name: str, *, timeout: float = management.BOOT) -> list[NodeStatus]:
    """Return what the nodes of a builder report.

    Raises:
        EngineError: there is no such builder.
        ImagesError: buildx does not answer within `timeout` seconds.
    """
    stored = store.of(client, name)
    assigned = {node.name: node.platforms for node in stored.nodes} if stored else {}
    with store.isolated(client, name) as only:
        command = commands.list_command(only)
        text = management.capture(only, command, f"builder {name}", timeout=timeout)
    try:
        builders = [json.loads(line) for line in text.splitlines()]
        # buildx 0.13 prints a builder once more for each of its nodes.
        builder = next((item for item in builders if item["Name"] == client.builder(name)), None)
        statuses = [_status(item, assigned) for item in (builder or {}).get("Nodes") or ()]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise EngineError(f"builder {name}: buildx does not describe it as JSON") from None
    if builder is None:
        create = hints.task("builder.create", "--builder", name)
        raise EngineError(
            f"builder {name}: no builder {name!r} found: create it with {create}; a "
            f"docker context is used with DOCKER_CONTEXT={name}"
        )
    if builder.get("Err"):
        raise EngineError(f"builder {name}: {builder['Err']}")
    return statuses


def start(client: Client, name: str) -> list[NodeStatus]:
    """Start the nodes of a builder, one process at a time, and return their status."""
    with store.lock(name, lambda _: None):
        management.bootstrap(client, name)
        return read(client, name)


def route(platform: Platform, nodes: Sequence[NodeStatus]) -> Route | None:
    """Return the node to which buildx gives the builds of a platform, None if no node has it.

    It is the node that the platform was set for, otherwise the first that lists the platform,
    natively or not (build/resolver/driver.go of buildx).
    """
    for node in nodes:
        if platform.value in node.assigned:
            return Route(node.name, native=True)
    able = [node for node in nodes if platform.value in node.platforms]
    if not able:
        return None
    native = [node for node in able if node.native == platform.value]
    first = able[0]
    if first in native or not native:
        return Route(first.name, native=first in native)
    return Route(first.name, native=False, better=native[0].name)


def required(builder: Builder, platforms: Collection[Platform]) -> tuple[Node, ...]:
    """Return the nodes that builds for these platforms need.

    If a platform was set for no node, buildx asks all of them.
    """
    if not all_assigned(builder, platforms):
        return builder.nodes
    names = {platform.value for platform in platforms}
    return tuple(node for node in builder.nodes if names & {*node.platforms})


def all_assigned(builder: Builder, platforms: Collection[Platform]) -> bool:
    """Return whether each of these platforms was set for a node."""
    assigned = {name for node in builder.nodes for name in node.platforms}
    return {platform.value for platform in platforms} <= assigned


def _status(item: dict[str, Any], assigned: dict[str, tuple[str, ...]]) -> NodeStatus:
    return NodeStatus(
        name=item["Name"],
        endpoint=item["Endpoint"],
        status=item.get("Status", ""),
        error=item.get("Err", ""),
        version=item.get("Version", ""),
        assigned=assigned.get(item["Name"], ()),
        platforms=tuple(item.get("Platforms") or ()),
        collection=tuple(map(_rule, item.get("GCPolicy") or ())),
    )


def _rule(item: dict[str, Any]) -> dict[str, object]:
    minutes, seconds = divmod(item["keepDuration"] // 10**9, 60)
    hours, minutes = divmod(minutes, 60)
    return {
        "all": item["all"],
        "filters": item.get("filter") or [],
        "keep-duration": f"{hours}h{minutes}m{seconds}s" if item["keepDuration"] else "",
        **{name: item[key] for key, name in _LIMITS.items() if item.get(key)},
    }
