"""Differences between a builder and its definition.

The running container counts as well as the store of buildx: buildx stores new settings for a
container that keeps running with the old ones.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from build_tasks import paths, process
from build_tasks.builders import desired, store
from build_tasks.buildx import docker
from build_tasks.buildx.toolchain import ANSWER, Client
from build_tasks.errors import CommandError, EngineError
from build_tasks.model.builder import Builder, Driver, Node
from build_tasks.text import hints

#: The image that buildx uses by default.
UPSTREAM = "moby/buildkit"
_DEFAULT_NETWORKS = {"default", "bridge", ""}
#: Options of the driver, and where docker shows them in the HostConfig of a container.
_HOST_CONFIG = {
    "network": "NetworkMode",
    "memory": "Memory",
    "memory-swap": "MemorySwap",
    "cpu-period": "CpuPeriod",
    "cpu-quota": "CpuQuota",
    "cpu-shares": "CpuShares",
    "cpuset-cpus": "CpusetCpus",
    "cpuset-mems": "CpusetMems",
}
_UNSET = "not set"
#: docker's errors for a file that is not in a container, or a container that has just ended.
_MISSING = re.compile(r"could not find the file|no such (?:file|container)", re.IGNORECASE)
#: A size as docker/go-units reads it.
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmg])?(?:i?b)?")
_UNITS = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


@dataclass(frozen=True)
class Difference:
    """One setting of a node, or of the builder, that differs from the definition."""

    node: str
    setting: str
    wanted: str
    actual: str

    def __str__(self) -> str:
        return f"{self.node}: {self.setting} is {self.actual}, expected {self.wanted}"


def differences(client: Client, wanted: Builder) -> list[Difference]:
    """Return how a builder differs from its definition.

    Raises:
        EngineError: the suite has no builder of this name.
    """
    name = wanted.name
    stored = store.read(store.suite_folder(name), name)
    if stored is None:
        create = hints.task("builder.create", "--builder", name)
        raise EngineError(f"builder {name} does not exist: {create}")
    return compare(client, wanted, stored)


def compare(client: Client, wanted: Builder, stored: Builder) -> list[Difference]:
    """Return how a stored builder, and the containers of its nodes, differ from the definition."""
    if stored.driver != wanted.driver:
        return [Difference(wanted.name, "driver", wanted.driver, stored.driver)]
    nodes = {node.name: node for node in stored.nodes}
    unwanted = nodes.keys() - {node.name for node in wanted.nodes}
    result = [Difference(name, "node", "none", nodes[name].endpoint) for name in sorted(unwanted)]
    files = ((desired.FILE, desired.buildkitd_toml(wanted)),)
    for node in wanted.nodes:
        actual = nodes.get(node.name)
        if actual is None:
            result.append(Difference(node.name, "node", node.endpoint or "present", "missing"))
            continue
        endpoint = node.endpoint or client.host or client.context
        if actual.endpoint.startswith("kubernetes:") or not endpoint:
            endpoint = actual.endpoint
        node_wanted = replace(node, endpoint=endpoint, files=files)
        result += _compare(node_wanted, actual)
        # buildx creates a missing container at the next start, from its store.
        if wanted.driver == Driver.CONTAINER:
            container = read_container(client, actual.name, actual.endpoint)
            result += _compare_container(node_wanted, container) if container else ()
    # A difference in the store usually is one in the container, too: report it once.
    return list({(item.node, item.setting): item for item in reversed(result)}.values())[::-1]


def read_container(client: Client, node: str, endpoint: str) -> Node | None:
    """Return a node as its container was created, None if it has none.

    The options are those that docker shows, also of the image's environment.

    Raises:
        EngineError: docker's answer cannot be read.
        CommandError: docker was killed while it copied the configuration.
    """
    name = container_name(node)
    command = docker.inspect_container_command(client, endpoint, name)
    completed = process.run(command, environment=client.environment, timeout=ANSWER, check=False)
    if completed.returncode:
        return None
    try:
        document = json.loads(completed.stdout)[0]
        options = _options(document["Config"], document["HostConfig"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise EngineError(f"{name}: docker's answer does not describe a container") from None
    text = _configuration(client, name, endpoint)
    return Node(node, endpoint, options=tuple(options.items()), files=((desired.FILE, text),))


def container_name(node: str) -> str:
    """Return the name that buildx gives to the container of a node; its volume adds `_state`."""
    return f"buildx_buildkit_{node}"


def _options(config: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, str]:
    variables = (item.partition("=") for item in config.get("Env") or ())
    return {
        "image": str(config["Image"]),
        "restart-policy": (host.get("RestartPolicy") or {}).get("Name", ""),
        **{option: str(host.get(key, 0)) for option, key in _HOST_CONFIG.items()},
        **{f"env.{name}": value for name, _, value in variables},
    }


def _configuration(client: Client, container: str, endpoint: str) -> str:
    """Return the buildkitd.toml in a container, whether it runs or not."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, desired.FILE)
        path = f"/etc/buildkit/{desired.FILE}"
        try:
            command = docker.copy_command(client, endpoint, f"{container}:{path}", file)
            process.run(command, environment=client.environment)
        except CommandError as error:
            if _MISSING.search(str(error)):
                return ""
            raise
        return file.read_text(encoding="utf-8", errors="replace")


def _compare(wanted: Node, actual: Node) -> Iterator[Difference]:
    settings, actual_settings = _settings(wanted), _settings(actual)
    for name in dict.fromkeys([*settings, *actual_settings]):
        value, actual_value = (table.get(name, _UNSET) for table in (settings, actual_settings))
        if value != actual_value:
            yield Difference(wanted.name, name, value, actual_value)


def _settings(node: Node) -> dict[str, str]:
    """Return the settings of a node; buildx writes the same TOML values in another form."""
    settings = {"endpoint": node.endpoint, "platforms": ", ".join(sorted(node.platforms))}
    toml = flatten_toml(dict(node.files).get(desired.FILE, ""))
    return {
        **{name: value for name, value in settings.items() if value},
        **dict(node.options),
        **{f"{desired.FILE}: {key}": value for key, value in toml.items()},
    }


def _compare_container(wanted: Node, container: Node) -> Iterator[Difference]:
    running = dict(container.options)
    image, network = running["image"], running["network"]
    options = {"image": image if UPSTREAM in image else UPSTREAM, **dict(wanted.options)}
    actual = {name: _running_option(name, value, running) for name, value in options.items()}
    if network not in _DEFAULT_NETWORKS:
        actual.setdefault("network", network)
    return _compare(
        Node(wanted.name, options=tuple(options.items()), files=wanted.files),
        Node(wanted.name, options=tuple(actual.items()), files=container.files),
    )


def _running_option(name: str, wanted: str, running: Mapping[str, str]) -> str:
    """Return an option of a container, or the wanted value if it means the same.

    Options that docker does not show cannot differ.
    """
    if name not in running:
        return _UNSET if name.startswith("env.") else wanted
    actual = running[name]
    if name in {"memory", "memory-swap"}:
        size = _SIZE.fullmatch(wanted.lower())
        same = not size or int(actual) == int(float(size[1]) * _UNITS[size[2] or "b"])
    else:
        same = name == "image" and actual.startswith(f"{wanted}@")  # buildx may pin the image
    return wanted if same else actual


def flatten_toml(text: str) -> dict[str, str]:
    """Return the values of a TOML text by their dotted keys."""
    try:
        return dict(_flatten(paths.parse_toml(text), ""))
    except ValueError as error:
        return {"": f"not TOML: {error}"}


def _flatten(table: Mapping[str, object], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value, default=str)
