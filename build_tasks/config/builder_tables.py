"""Parse the tables [builders.NAME] of images.toml, which define dedicated builders."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from build_tasks.config import buildx_drivers, parsing
from build_tasks.config.parsing import Choice, Items, expected, unknown
from build_tasks.errors import UsageError
from build_tasks.model.builder import DEFAULT, Builder, Driver, Node
from build_tasks.model.matrix import Platform
from build_tasks.text.formatting import listed

_NODE_KEYS = ("endpoint", "name", "options", "platforms")
_KEYS = ("insecure-registries", "max-used-space", "mirrors", "nodes", "options")
#: The keys that each driver takes: builders that run elsewhere are configured there.
_DRIVER_KEYS: Mapping[Driver, tuple[str, ...]] = {
    Driver.DOCKER: (),
    Driver.REMOTE: ("nodes", "options"),
    Driver.CONTAINER: _KEYS,
    Driver.KUBERNETES: _KEYS,
}
_NAME = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?")
#: buildx, docker and Kubernetes accept these names for what buildx creates.
_name = parsing.matching(_NAME, "a name of lower-case letters, digits and '-'")
_mirror = parsing.matching(
    re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?(?:/[A-Za-z0-9._/-]+)?"),
    "a mirror like mirror.example.com:5000/path",
)


def parse(value: object, place: str) -> Mapping[str, Builder]:
    """Return the builders by name.

    Raises:
        UsageError: a key or value is wrong.
    """
    if not isinstance(value, Mapping):
        raise expected("tables [builders.NAME]", value, place)
    return MappingProxyType(
        {name: _builder(name, table, f"{place}.{name}") for name, table in value.items()}
    )


def check_name(name: str, place: str) -> None:
    """Raise UsageError unless buildx, docker and Kubernetes all accept a builder's name."""
    _name(name, place)


def _builder(name: str, value: object, place: str) -> Builder:
    table = _table(value, ("driver", *_KEYS), place)
    check_name(name, place)
    driver = Choice("driver", tuple(Driver))(
        table.get("driver", Driver.CONTAINER), f"{place}.driver"
    )
    if name == DEFAULT and driver is not Driver.DOCKER:
        raise UsageError(
            f"{place}.driver: {DEFAULT} is the engine's own builder, whose driver is docker: "
            "choose another name"
        )
    for key in table:
        if key not in {"driver", *_DRIVER_KEYS[driver]}:
            valid = listed(_DRIVER_KEYS[driver]) or "no other keys"
            raise UsageError(f"{place}.{key}: the {driver} driver takes {valid}")
    size = table.get("max-used-space")
    return Builder(
        name,
        driver,
        () if driver is Driver.DOCKER else _nodes(name, driver, table, place),
        0 if size is None else parsing.disk_space(size, f"{place}.max-used-space"),
        Items(parsing.registry_host)(
            table.get("insecure-registries", []), f"{place}.insecure-registries"
        ),
        _mirrors(table.get("mirrors", {}), f"{place}.mirrors"),
        MappingProxyType(_origins(table, place)),
    )


def _nodes(name: str, driver: Driver, builder: Mapping[str, Any], place: str) -> tuple[Node, ...]:
    shared = buildx_drivers.parse_options(builder.get("options", {}), f"{place}.options")
    place = f"{place}.nodes"
    tables = builder.get("nodes", [{}])
    if not isinstance(tables, list) or not tables:
        raise expected(f"tables [[builders.{name}.nodes]]", tables, place)
    nodes = []
    for number, value in enumerate(tables):
        node = f"{place}[{number}]"
        table = _table(value, _NODE_KEYS, node)
        own = buildx_drivers.parse_options(table.get("options", {}), f"{node}.options")
        nodes.append(
            Node(
                _name(table.get("name", f"{name}{number}"), f"{node}.name"),
                buildx_drivers.parse_endpoint(driver, table.get("endpoint"), f"{node}.endpoint"),
                Items(Platform.parse)(table.get("platforms", []), f"{node}.platforms"),
                tuple({**shared, **own}.items()),
            )
        )
    _check_distinct(nodes, driver, place)
    return tuple(nodes)


def _check_distinct(nodes: list[Node], driver: Driver, place: str) -> None:
    """Raise UsageError for nodes between which buildx would choose arbitrarily."""
    seen: dict[str, int] = {}
    for number, node in enumerate(nodes):
        if len(nodes) > 1 and not node.platforms:
            raise UsageError(
                f"{place}[{number}].platforms: missing: one of several nodes could get builds for "
                "a platform that it can only emulate"
            )
        endpoint = [] if driver is Driver.KUBERNETES else [node.endpoint or "the engine itself"]
        for item in (node.name, *node.platforms, *endpoint):
            if item in seen:
                raise UsageError(
                    f"{place}[{number}]: {item} is that of nodes[{seen[item]}] too: buildx takes "
                    "one node for each, so define another builder"
                )
            seen[item] = number


def _origins(table: Mapping[str, Any], place: str) -> dict[str, str]:
    """Return where each value of a builder and of its nodes comes from."""
    origins = {key: f"{place}.{key}" for key in table}
    for number, node in enumerate(table.get("nodes", [{}])):
        if "options" in table:
            origins[f"nodes[{number}].options"] = f"{place}.options"
        origins |= {f"nodes[{number}].{key}": f"{place}.nodes[{number}].{key}" for key in node}
    return origins


def _mirrors(value: object, place: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, Mapping):
        raise expected('a table like { "docker.io" = ["mirror.example.com"] }', value, place)
    return tuple(
        (parsing.registry(name, place), Items(_mirror)(mirrors, f'{place}."{name}"'))
        for name, mirrors in value.items()
    )


def _table(value: object, keys: Collection[str], place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise expected("a table", value, place)
    for key in value:
        if key not in keys:
            raise unknown(f"{place}: unknown key", key, keys)
    return value
