"""Where a builder that exists differs from the one that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from build_tasks.builders import configuration, container
from build_tasks.builders.container import Container
from build_tasks.builders.store import Stored, StoredNode
from build_tasks.model.builder import Builder, Driver, Node

#: How a container's network is called where nobody chose one.
_NO_NETWORK = {"default", "bridge", ""}


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it is wanted.

    Args:
        where: the node, or the builder.
        what: what differs: an option, the configuration.
        wanted: what it should be.
        found: what it is.
    """

    where: str
    what: str
    wanted: str
    found: str


def find(
    wanted: Builder,
    stored: Stored,
    engine: str,
    look: Callable[[StoredNode], Container | None],
) -> list[Difference]:
    """Return the differences between a builder that is wanted and the one that exists.

    What runs counts, not only what buildx has written down: it writes new settings down for a
    container that goes on with the old ones.

    Args:
        wanted: the builder as it has to be made.
        stored: the builder as buildx will use it.
        engine: the engine's address, where nodes without an endpoint belong; empty if it is
            docker's own to say.
        look: returns what a node's container runs, None if there is none; it is asked for nodes
            with the docker-container driver only.
    """
    if stored.driver != wanted.driver:
        return [Difference(wanted.name, "driver", wanted.driver, stored.driver)]
    nodes = {node.name: node for node in stored.nodes}
    differences = [
        Difference(name, "node", "none", node.endpoint)
        for name, node in nodes.items()
        if name not in {one.name for one in wanted.nodes}
    ]
    text = configuration.text(wanted)
    for node in wanted.nodes:
        found = nodes.get(node.name)
        if found is None:
            differences.append(Difference(node.name, "node", node.endpoint or "there", "missing"))
            continue
        differences += _of_store(node, node.endpoint or engine, text, found)
        if wanted.driver is Driver.CONTAINER:
            differences += _of_container(node, text, look(found))
    # What the store has otherwise, the container has otherwise, too: it is told once.
    return list({(one.where, one.what): one for one in reversed(differences)}.values())[::-1]


def _of_store(node: Node, endpoint: str, text: str, found: StoredNode) -> Iterator[Difference]:
    if endpoint and endpoint != found.endpoint and not found.endpoint.startswith("kubernetes:"):
        yield Difference(node.name, "endpoint", endpoint, found.endpoint)
    platforms = tuple(platform.value for platform in node.platforms)
    if set(platforms) != set(found.platforms):
        yield Difference(node.name, "platforms", _listed(platforms), _listed(found.platforms))
    wanted, has = dict(node.options), dict(found.options)
    for key in sorted({*wanted, *has}):
        if wanted.get(key) != has.get(key):
            yield Difference(node.name, key, wanted.get(key, "not set"), has.get(key, "not set"))
    yield from _of_text(node, text, dict(found.files).get(configuration.FILE, ""))


def _of_container(node: Node, text: str, found: Container | None) -> Iterator[Difference]:
    if found is None:
        return  # buildx makes it at the next start, as the store says
    options = dict(node.options)
    for key, value in options.items():
        has = container.differs(key, value, found)
        if has is not None:
            yield Difference(node.name, key, value, has)
    if "image" not in options and container.UPSTREAM not in found.image:
        yield Difference(node.name, "image", container.UPSTREAM, found.image)
    if "network" not in options and found.options["network"] not in _NO_NETWORK:
        yield Difference(node.name, "network", "not set", found.options["network"])
    yield from _of_text(node, text, found.configuration)


def _of_text(node: Node, wanted: str, found: str) -> Iterator[Difference]:
    ours, theirs = configuration.flat(wanted), configuration.flat(found)
    for key in sorted({*ours, *theirs}):
        if ours.get(key) != theirs.get(key):
            what = f"{configuration.FILE}: {key}"
            yield Difference(node.name, what, ours.get(key, "not set"), theirs.get(key, "not set"))


def _listed(platforms: tuple[str, ...]) -> str:
    return ", ".join(platforms) or "not set"
