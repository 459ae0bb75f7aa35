"""The dedicated builders that images.toml defines, each a table [builders.NAME]."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from build_tasks.config import buildx_drivers, parsing
from build_tasks.errors import UsageError
from build_tasks.model.builder import DEFAULT, Builder, Driver, Node
from build_tasks.text.formatting import listed

_KEYS = ("driver", "insecure-registries", "max-used-space", "mirrors", "nodes", "options")
_NODE_KEYS = ("endpoint", "name", "options", "platforms")
# buildx makes names lower-case, and containers, deployments and folders of them.
_NAME = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?")
_VALID_NAME = "a lower-case letter, then lower-case letters, digits and '-'"
_MIRROR = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?(?:/[A-Za-z0-9._/-]+)?")


def parse(value: object, place: str) -> Mapping[str, Builder]:
    """Return the builders that the tables define, by name.

    Args:
        value: the tables by name.
        place: where they stand.

    Raises:
        UsageError: a key or value is wrong; the message names the place and the valid ones.
    """
    if not isinstance(value, Mapping):
        raise UsageError(f"{place}: must be tables [builders.NAME], not {value!r}")
    return MappingProxyType(
        {name: _builder(name, table, f"{place}.{name}") for name, table in value.items()}
    )


def check_name(name: str, place: str) -> None:
    """Raise UsageError unless buildx, docker and Kubernetes can all call a builder this."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{place}: {name!r} is no builder's name: {_VALID_NAME}")


def _builder(name: str, value: object, place: str) -> Builder:
    table = _table(value, _KEYS, place)
    check_name(name, place)
    driver = Driver.parse(table.get("driver", Driver.CONTAINER), f"{place}.driver")
    if name == DEFAULT and driver is not Driver.DOCKER:
        raise UsageError(
            f"{place}.driver: {DEFAULT} is the engine's own builder: only docker can stand here, "
            "or take another name"
        )
    for key in table:
        if key not in {"driver", *_understood(driver)}:
            raise UsageError(
                f"{place}.{key}: a builder with the {driver} driver has none: it takes "
                f"{listed(_understood(driver)) or 'nothing else'}"
            )
    shared = buildx_drivers.options(driver, table.get("options", {}), f"{place}.options")
    nodes = _nodes(name, driver, shared, table.get("nodes", [{}]), f"{place}.nodes")
    origins = {key: f"{place}.{key}" for key in table}
    for number, node in enumerate(table.get("nodes", [])):
        origins |= {f"nodes[{number}].{key}": f"{place}.nodes[{number}].{key}" for key in node}
    for number in range(len(nodes)) if shared else ():
        origins.setdefault(f"nodes[{number}].options", f"{place}.options")
    return Builder(
        name,
        driver,
        () if driver is Driver.DOCKER else nodes,
        parsing.space(table["max-used-space"], f"{place}.max-used-space")
        if "max-used-space" in table
        else 0,
        parsing.registries(table.get("insecure-registries", []), f"{place}.insecure-registries"),
        _mirrors(table.get("mirrors", {}), f"{place}.mirrors"),
        MappingProxyType(origins),
    )


def _understood(driver: Driver) -> tuple[str, ...]:
    """Return the keys that mean something for a driver: what runs elsewhere is set up there."""
    if driver is Driver.DOCKER:
        return ()
    if driver is Driver.REMOTE:
        return ("nodes", "options")
    return _KEYS[1:]


def _nodes(
    name: str, driver: Driver, shared: Mapping[str, str], value: object, place: str
) -> tuple[Node, ...]:
    if driver is Driver.DOCKER:
        return ()
    if not isinstance(value, list) or not value:
        raise UsageError(f"{place}: must be tables [[builders.{name}.nodes]], not {value!r}")
    found = []
    for number, item in enumerate(value):
        here = f"{place}[{number}]"
        table = _table(item, _NODE_KEYS, here)
        own = buildx_drivers.options(driver, table.get("options", {}), f"{here}.options")
        buildx_drivers.check_certificates({**shared, **own}, f"{here}.options")
        found.append(
            Node(
                _node_name(table.get("name", f"{name}{number}"), f"{here}.name"),
                buildx_drivers.endpoint(driver, table.get("endpoint"), f"{here}.endpoint"),
                parsing.platforms(table.get("platforms", []), f"{here}.platforms"),
                tuple({**shared, **own}.items()),
            )
        )
    _check_together(found, driver, place)
    return tuple(found)


def _check_together(nodes: list[Node], driver: Driver, place: str) -> None:
    """Refuse nodes among which buildx would choose otherwise than a reader thinks."""
    seen: dict[str, int] = {}
    for number, node in enumerate(nodes):
        if len(nodes) > 1 and not node.platforms:
            raise UsageError(
                f"{place}[{number}].platforms: say which: of several nodes, one that could only "
                "emulate a platform might get its builds"
            )
        once = [node.name, *node.platforms]
        once += [] if driver is Driver.KUBERNETES else [node.endpoint or "the engine itself"]
        for item in once:
            if item in seen:
                raise UsageError(
                    f"{place}[{number}]: {item} stands at nodes[{seen[item]}] already: buildx has "
                    "one node for each, so make another builder of this one"
                )
            seen[item] = number


def _node_name(value: object, place: str) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise UsageError(f"{place}: {value!r} is no node's name: {_VALID_NAME}")
    return value


def _mirrors(value: object, place: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, Mapping):
        raise UsageError(
            f'{place}: must be a table like {{ "docker.io" = ["mirror.example.com"] }}, '
            f"not {value!r}"
        )
    result = []
    for name, mirrors in value.items():
        parsing.registry(name, place)
        listed_ = parsing.texts(mirrors, f'{place}."{name}"')
        for one in listed_:
            if not _MIRROR.fullmatch(one):
                raise UsageError(
                    f'{place}."{name}": {one!r} is no mirror, like mirror.example.com:5000/path'
                )
        result.append((name, listed_))
    return tuple(result)


def _table(value: object, keys: tuple[str, ...], place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{place}: must be a table, not {value!r}")
    for key in value:
        if key not in keys:
            raise UsageError(f"{place}: unknown key {key!r}: choose {listed(keys)}")
    return value
