"""What there is to know of builders, as data: those of images.toml, the suite's and the user's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from build_tasks import process
from build_tasks.builders import (
    configuration,
    container,
    inspection,
    inventory,
    probe,
    routing,
    store,
)
from build_tasks.builders.inspection import Described
from build_tasks.builders.store import Stored, StoredNode
from build_tasks.buildx import toolchain, verbs
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import EngineError, ImagesError
from build_tasks.model.builder import DEFAULT, Builder, Driver

#: Seconds for a builder to say what its nodes are; a hung one delays no other.
_ANSWER = 10.0


def rows(client: Client, defined: Mapping[str, Builder]) -> list[dict[str, object]]:
    """Return one row for each builder that can be named, with its status as of now.

    Args:
        client: the way to the engine.
        defined: the builders of images.toml.
    """
    theirs = store.names(toolchain.users_builders())
    names = dict.fromkeys([DEFAULT, *defined, *inventory.names(), *theirs])

    def row(name: str) -> dict[str, object]:
        stored = _stored(client, name)
        wanted = defined.get(name)
        driver = stored.driver if stored else wanted.driver.value if wanted else Driver.DOCKER.value
        base: dict[str, object] = {
            "builder": name,
            "driver": driver,
            "from": _origin(name, defined),
        }
        if stored is None and driver != Driver.DOCKER:
            return {**base, "status": "not created", "platforms": []}
        try:
            nodes = _nodes(client.for_builder(name), name, stored)
        except ImagesError as error:
            return {**base, "status": f"error: {error}", "platforms": []}
        platforms = dict.fromkeys(item.rstrip("*") for node in nodes for item in node.platforms)
        return {**base, "status": _status(nodes), "platforms": list(platforms)}

    with process.pool(len(names)) as pool:
        return list(pool.map(row, names))


def look(
    client: Client, name: str, wanted: Builder | None, defined: Mapping[str, Builder]
) -> dict[str, object]:
    """Return what a builder's nodes are and run, and where they differ from what is wanted.

    Args:
        client: the way to the engine.
        name: the builder's name.
        wanted: the builder as it has to be made, if that is to be compared.
        defined: the builders of images.toml.

    Raises:
        EngineError: there is no such builder.
    """
    there = client.for_builder(name)
    stored = _stored(client, name)
    if stored is None and wanted is not None:
        raise EngineError(f"builder {name} is not there yet: invoke builder.create")
    nodes = _nodes(there, name, stored)
    kept = {node.name: node for node in stored.nodes} if stored else {}
    compared = inventory.differences(client, wanted) if wanted and inventory.exists(name) else []
    return {
        "builder": name,
        "driver": stored.driver if stored else Driver.DOCKER.value,
        "from": _origin(name, defined),
        "status": _status(nodes),
        "folder": there.environment["BUILDX_CONFIG"],
        "nodes": [
            _node(node, kept.get(node.name), _container(there, stored, node.name)) for node in nodes
        ],
        "differences": [asdict(one) for one in compared],
    }


def lines(seen: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return what `look` found as lines for people: what, and what it is."""
    return [(key, text) for key, text in _flat(seen, "") if text]


def _stored(client: Client, name: str) -> Stored | None:
    return store.of(client.for_builder(name), name)


def _nodes(there: Client, name: str, stored: Stored | None) -> list[Described]:
    """Return the nodes; those that do not answer are told without waiting for buildx to see it."""
    quiet = probe.silent(there, stored, stored.nodes) if stored else []
    if not quiet:
        text = verbs.inspect(there, name, timeout=_ANSWER)
        if inspection.error(text):
            raise EngineError(f"builder {name}: {inspection.error(text)}")
        return inspection.nodes(text)
    reasons = {one.node.name: one.reason for one in quiet}
    return [
        Described(
            node.name,
            node.endpoint,
            "no answer" if node.name in reasons else "answers",
            reasons.get(node.name, ""),
            platforms=tuple(f"{platform}*" for platform in node.platforms),
        )
        for node in (stored.nodes if stored else ())
    ]


def _container(there: Client, stored: Stored | None, node: str) -> container.Container | None:
    if stored is None or stored.driver != Driver.CONTAINER:
        return None
    endpoint = next((one.endpoint for one in stored.nodes if one.name == node), "default")
    return container.look(there, node, endpoint)


def _node(
    node: Described, kept: StoredNode | None, runs: container.Container | None
) -> dict[str, object]:
    image = runs.image if runs else ""
    files = dict(kept.files) if kept else {}
    return {
        "name": node.name,
        "endpoint": node.endpoint,
        "status": node.status,
        "error": node.error,
        "buildkit": node.version,
        "image": image,
        "stand-in": container.STAND_IN in image,
        "platforms": [item.rstrip("*") for item in node.platforms],
        "platforms-set": [item.rstrip("*") for item in node.platforms if item.endswith("*")],
        "native": routing.native(node.platforms),
        "options": dict(kept.options) if kept else {},
        "configuration": runs.configuration if runs else files.get(configuration.FILE, ""),
        "volume": container.volume(node.name) if runs else "",
        "garbage-collection": node.collection,
    }


def _status(nodes: list[Described]) -> str:
    """Return one status for all nodes where they agree, otherwise each node's."""
    each = {node.status for node in nodes}
    if len(each) == 1 and not any(node.error for node in nodes):
        return each.pop()
    told = (f"{node.name}: {node.status} {node.error}".strip() for node in nodes)
    return "; ".join(told)


def _origin(name: str, defined: Mapping[str, Builder]) -> str:
    if inventory.users(name):
        return "you"
    if name in defined:
        return "images.toml"
    return "the engine" if name == DEFAULT else "the suite"


def _flat(value: object, key: str) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [
            line
            for name, item in value.items()
            for line in _flat(item, f"{key}.{name}" if key else str(name))
        ]
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        return [
            line for number, item in enumerate(value) for line in _flat(item, f"{key}[{number}]")
        ]
    if isinstance(value, list):
        return [(key, ", ".join(map(str, value)))]
    if isinstance(value, bool):
        return [(key, "yes" if value else "")]
    return [(key, str(value).strip())]
