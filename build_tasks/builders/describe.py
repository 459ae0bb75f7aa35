"""Describe builders: those of images.toml, of the suite and of the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from build_tasks import process
from build_tasks.builders import desired, drift, nodes, probe, store
from build_tasks.builders.nodes import NodeStatus
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import EngineError, ImagesError
from build_tasks.model.builder import DEFAULT, Builder, Driver, Node
from build_tasks.text import hints

#: Seconds for a builder to report its nodes.
_ANSWER = 10.0


def list_builders(client: Client, defined: Mapping[str, Builder]) -> list[dict[str, object]]:
    """Return a row for each builder that can be named; `defined` are those of images.toml."""
    users = store.names(store.users_folder())
    names = dict.fromkeys([DEFAULT, *defined, *store.suite_names(), *users])
    with process.pool(len(names)) as pool:
        return list(pool.map(lambda name: _row(client, name, defined), names))


def _row(client: Client, name: str, defined: Mapping[str, Builder]) -> dict[str, object]:
    own = store.client_for(client, name)
    stored = store.of(own, name)
    builder = stored or defined.get(name)
    driver = builder.driver if builder else Driver.DOCKER
    status, platforms = "not created", []
    if stored or driver == Driver.DOCKER:
        try:
            statuses = _statuses(own, name, stored)
            status = _summary(statuses)
            platforms = [*dict.fromkeys(item for node in statuses for item in node.platforms)]
        except ImagesError as error:
            status = f"error: {error}"
    return {
        "builder": name,
        "driver": driver,
        "from": _origin(name, defined),
        "status": status,
        "platforms": platforms,
    }


def describe(
    client: Client, name: str, wanted: Builder | None, defined: Mapping[str, Builder]
) -> dict[str, object]:
    """Return all that is known of a builder and its nodes.

    It is compared with the builder `wanted`, if any; `defined` are the builders of images.toml.

    Raises:
        EngineError: there is no such builder.
    """
    own = store.client_for(client, name)
    stored = store.of(own, name)
    if stored is None and wanted is not None:
        create = hints.task("builder.create", "--builder", name)
        raise EngineError(f"builder {name} is not created yet: {create}")
    statuses = _statuses(own, name, stored)
    driver = stored.driver if stored else Driver.DOCKER
    kept = {node.name: node for node in stored.nodes} if stored else {}
    compared = drift.differences(client, wanted) if wanted and store.exists(name) else []
    return {
        "builder": name,
        "driver": driver,
        "from": _origin(name, defined),
        "status": _summary(statuses),
        "folder": own.environment["BUILDX_CONFIG"],
        "nodes": [
            _node(own, driver, node, kept.get(node.name) or Node(node.name, node.endpoint))
            for node in statuses
        ],
        "differences": [
            {
                "where": item.node,
                "what": item.setting,
                "wanted": item.wanted,
                "found": item.actual,
            }
            for item in compared
        ],
    }


def flatten(value: object, key: str = "") -> list[tuple[str, str]]:
    """Return the values of a description by their dotted keys, without empty ones."""
    if isinstance(value, Mapping):
        items = [(f"{key}.{name}" if key else str(name), item) for name, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        items = [(f"{key}[{number}]", item) for number, item in enumerate(value)]
    else:
        if isinstance(value, bool):
            value = "yes" if value else ""
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value).strip()
        return [(key, text)] if text else []
    return [line for name, item in items for line in flatten(item, name)]


def _statuses(client: Client, name: str, stored: Builder | None) -> list[NodeStatus]:
    """Return the status of all nodes; if one hangs, without waiting for buildx to notice."""
    reasons = probe.silent_nodes(client, stored, stored.nodes) if stored else {}
    if not stored or not reasons:
        return nodes.read(client, name, timeout=_ANSWER)
    return [
        NodeStatus(
            node.name,
            node.endpoint,
            "no answer" if node in reasons else "answers",
            reasons.get(node, ""),
            assigned=node.platforms,
            platforms=node.platforms,
        )
        for node in stored.nodes
    ]


def _node(client: Client, driver: str, status: NodeStatus, stored: Node) -> dict[str, object]:
    container = None
    if driver == Driver.CONTAINER:
        container = drift.read_container(client, stored.name, stored.endpoint)
    image = dict(container.options)["image"] if container else ""
    return {
        "name": status.name,
        "endpoint": status.endpoint,
        "status": status.status,
        "error": status.error,
        "buildkit": status.version,
        "image": image,
        "stand-in": desired.PLACEHOLDER in image,
        "platforms": list(status.platforms),
        "platforms-set": list(status.assigned),
        "native": status.native,
        "options": dict(stored.options),
        "configuration": dict((container or stored).files).get(desired.FILE, ""),
        "volume": f"{drift.container_name(status.name)}_state" if container else "",
        "garbage-collection": list(status.collection),
    }


def _summary(statuses: Sequence[NodeStatus]) -> str:
    """Return one status for all nodes if it is the same, otherwise that of each node."""
    different = {node.status for node in statuses}
    if len(different) == 1 and not any(node.error for node in statuses):
        return different.pop()
    return "; ".join(f"{node.name}: {node.status} {node.error}".strip() for node in statuses)


def _origin(name: str, defined: Mapping[str, Builder]) -> str:
    if store.is_users(name):
        return "you"
    if name in defined:
        return "images.toml"
    return "the engine" if name == DEFAULT else "the suite"
