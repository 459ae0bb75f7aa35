"""Which node of a builder gets the build of a platform, and whether it is its own.

buildx gives it to the node that somebody set the platform for; where nobody did, to the first that
lists it, natively or not (build/resolver/driver.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from build_tasks.builders.store import Stored, StoredNode
from build_tasks.model.matrix import Platform


@dataclass(frozen=True)
class Route:
    """Where a platform's builds go.

    Args:
        node: the node's name.
        native: whether the node's machine is of that platform, as far as anybody says.
        better: a node that has the platform natively and is passed over; empty if there is none.
    """

    node: str
    native: bool
    better: str = ""


def route(platform: Platform, nodes: Mapping[str, Sequence[str]]) -> Route | None:
    """Return where the builds of a platform go, None if no node can make them.

    Args:
        platform: the platform.
        nodes: what `buildx inspect` lists for each node: platforms that somebody set for it, with
            a `*`, and then what its machine can run, beginning with its own.
    """
    for name, listed in nodes.items():
        if f"{platform}*" in listed:
            return Route(name, native=True)
    able = [name for name, listed in nodes.items() if platform.value in listed]
    if not able:
        return None
    own = [name for name in able if native(nodes[name]) == platform.value]
    if able[0] in own:
        return Route(able[0], native=True)
    return Route(able[0], native=False, better=own[0] if own else "")


def native(listed: Sequence[str]) -> str:
    """Return the platform of a node's machine, as its list tells; empty where a user's word does.

    Args:
        listed: what `buildx inspect` lists for it.
    """
    return listed[0] if listed and not listed[0].endswith("*") else ""


def used(builder: Stored, platforms: Iterable[Platform]) -> tuple[StoredNode, ...]:
    """Return the nodes that builds for these platforms need.

    Where a platform is set for no node, buildx asks all of them.
    """
    found = []
    for platform in platforms:
        setting = [node for node in builder.nodes if platform.value in node.platforms]
        if not setting:
            return builder.nodes
        found += setting
    return tuple(dict.fromkeys(found))


def settled(builder: Stored, platforms: Iterable[Platform]) -> bool:
    """Return whether somebody set a node for each of these platforms."""
    set_for = {name for node in builder.nodes for name in node.platforms}
    return {platform.value for platform in platforms} <= set_for
