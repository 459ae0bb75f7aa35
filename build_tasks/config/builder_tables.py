"""Parse the tables [builders.NAME] of images.toml, which define dedicated builders.

buildx itself checks the options of its drivers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from build_tasks.config import parsing
from build_tasks.config.parsing import Choice, Items, expected, unknown
from build_tasks.errors import UsageError
from build_tasks.model.builder import DEFAULT, Builder, Driver, Node
from build_tasks.model.matrix import Platform
from build_tasks.text.redaction import is_secret_name

_NODE_KEYS = ("endpoint", "name", "options", "platforms")
_KEYS = ("driver", "insecure-registries", "max-used-space", "mirrors", "nodes", "options")
#: The keys of drivers that do not take all: builders that run elsewhere are configured there.
_DRIVER_KEYS = {Driver.DOCKER: ("driver",), Driver.REMOTE: ("driver", "nodes", "options")}
#: Parsers of endpoints; the kubernetes driver takes none.
_ENDPOINTS = {
    Driver.REMOTE: parsing.Matching(
        r"tcp://(?:\[[0-9a-fA-F:]+\]|[^\s/@:]+):[0-9]{1,5}|unix:///\S+|"
        r"(?:docker-container|kube-pod)://[^\s/]\S*|ssh://[^\s/]\S*",
        "tcp://HOST:PORT, unix:///PATH, docker-container://NAME, kube-pod://POD or ssh://",
    ),
    Driver.CONTAINER: parsing.Matching(
        r"(?:tcp|ssh)://[^\s/]\S*|unix:///\S+|[A-Za-z0-9][A-Za-z0-9_.+-]+",
        "ssh://USER@HOST, tcp://HOST:PORT, unix:///PATH or a docker context",
    ),
}
#: Driver options that name files.
_FILES = frozenset(("cacert", "cert", "key"))

#: Parses the name of a builder or of a node, which buildx, docker and Kubernetes all accept.
parse_name = parsing.Matching(
    r"[a-z](?:[a-z0-9-]*[a-z0-9])?", "a name of lower-case letters, digits and '-'"
)
_mirror = parsing.Matching(
    r"[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?(?:/[A-Za-z0-9._/-]+)?",
    "a mirror like mirror.example.com:5000/path",
)

T = TypeVar("T")


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


def _builder(name: str, value: object, place: str) -> Builder:
    table = _table(value, _KEYS, place)
    parse_name(name, place)
    driver = _get(table, "driver", Choice("driver", tuple(Driver)), Driver.CONTAINER, place)
    if name == DEFAULT and driver is not Driver.DOCKER:
        raise UsageError(
            f"{place}.driver: {DEFAULT} is the engine's own builder, whose driver is docker: "
            "choose another name"
        )
    _check_keys(table, _DRIVER_KEYS.get(driver, _KEYS), f"{place}: the {driver} driver has no key")
    return Builder(
        name,
        driver,
        () if driver is Driver.DOCKER else _nodes(name, driver, table, place),
        _get(table, "max-used-space", parsing.disk_space, 0, place),
        _get(table, "insecure-registries", Items(parsing.registry_host), (), place),
        _get(table, "mirrors", _mirrors, (), place),
        MappingProxyType(_origins(table, place)),
    )


def _nodes(name: str, driver: Driver, builder: Mapping[str, Any], place: str) -> tuple[Node, ...]:
    shared = _options(builder.get("options", {}), f"{place}.options")
    place = f"{place}.nodes"
    tables = builder.get("nodes", [{}])
    if not isinstance(tables, list) or not tables:
        raise expected(f"tables [[builders.{name}.nodes]]", tables, place)
    nodes = []
    for number, value in enumerate(tables):
        node = f"{place}[{number}]"
        table = _table(value, _NODE_KEYS, node)
        options = shared | _options(table.get("options", {}), f"{node}.options")
        nodes.append(
            Node(
                _get(table, "name", parse_name, f"{name}{number}", node),
                _endpoint(driver, table.get("endpoint"), f"{node}.endpoint"),
                _get(table, "platforms", Items(Platform.parse), (), node),
                tuple(options.items()),
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


def _endpoint(driver: Driver, value: object, place: str) -> str:
    """Return the endpoint of a node, empty text where the driver needs none."""
    if value is None and driver is not Driver.REMOTE:
        return ""
    if driver is Driver.KUBERNETES:
        raise UsageError(f"{place}: the kubernetes driver takes none: it uses KUBECONFIG")
    return _ENDPOINTS[driver](value, place)


def _options(value: object, place: str) -> dict[str, str]:
    """Return driver options as buildx takes them; `env.NAME` may be a key or a nested table.

    Raises:
        UsageError: an option is a secret or a relative path, or neither text nor a number.
    """
    if not isinstance(value, Mapping):
        raise expected('a table like { network = "host" }', value, place)
    options: dict[str, str] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):
            options |= _options({f"{key}.{name}": inner for name, inner in item.items()}, place)
            continue
        option = f"{place}.{key}"
        if not isinstance(item, str | int):
            raise expected("a string or a number", item, option)
        text = str(item).lower() if isinstance(item, bool) else str(item)
        if key in _FILES and not text.startswith("/"):
            raise expected("an absolute path", item, option)
        if is_secret_name(key.removeprefix("env.")):
            raise UsageError(
                f"{option}: looks like a secret, and everyone who can inspect the builder can "
                "read its options: pass secrets to builds"
            )
        options[key] = text
    return options


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
    _check_keys(value, keys, f"{place}: unknown key")
    return value


def _check_keys(table: Iterable[str], keys: Collection[str], subject: str) -> None:
    for key in table:
        if key not in keys:
            raise unknown(subject, key, keys)


def _get(
    table: Mapping[str, Any], key: str, parse: Callable[[Any, str], T], default: T, place: str
) -> T:
    """Return the parsed value of a key, or the default if the table does not have it."""
    return parse(table[key], f"{place}.{key}") if key in table else default
