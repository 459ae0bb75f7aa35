"""Differences between a builder and its definition.

The running container counts as well as the store of buildx: buildx stores new settings for a
container that keeps running with the old ones.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from build_tasks import paths, process
from build_tasks.builders import desired, store
from build_tasks.builders.store import StoredBuilder, StoredNode
from build_tasks.buildx import docker
from build_tasks.buildx.toolchain import ANSWER, Client
from build_tasks.errors import CommandError, EngineError
from build_tasks.model.builder import Builder, Driver, Node

#: The image that buildx uses by default.
UPSTREAM = "moby/buildkit"
_DEFAULT_NETWORKS = {"default", "bridge", ""}
_UNSET = "not set"
#: docker's errors for a file that is not in a container, or a container that has just ended.
_MISSING = re.compile(r"could not find the file|no such (?:file|container)", re.IGNORECASE)
#: A size as docker/go-units reads it.
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmg])?(?:i?b)?")
_UNITS = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


@dataclass(frozen=True)
class Difference:
    """One setting that differs from the definition.

    Args:
        node: the node, or the builder.
        setting: an option, or a key of the configuration file.
        wanted: its value in the definition.
        actual: its value now.
    """

    node: str
    setting: str
    wanted: str
    actual: str

    def __str__(self) -> str:
        return f"{self.node}: {self.setting} is {self.actual}, expected {self.wanted}"


@dataclass(frozen=True)
class Container:
    """The container of a node.

    Args:
        image: the reference of its image.
        configuration: the text of its buildkitd.toml; empty if it has none.
        options: the driver options that it was created with, as far as docker shows them.
    """

    image: str
    configuration: str
    options: Mapping[str, str]


def differences(client: Client, wanted: Builder) -> list[Difference]:
    """Return how a builder differs from its definition.

    Raises:
        EngineError: the suite has no builder of this name.
    """
    name = wanted.name
    stored = store.read(store.suite_folder(name), name)
    if stored is None:
        raise EngineError(f"builder {name} does not exist: invoke builder.create --builder {name}")
    return compare(
        wanted,
        stored,
        client.host or client.context,
        lambda node: read_container(client, node.name, node.endpoint),
    )


def compare(
    wanted: Builder,
    stored: StoredBuilder,
    engine: str,
    container_of: Callable[[StoredNode], Container | None],
) -> list[Difference]:
    """Return how a stored builder differs from its definition.

    Args:
        wanted: the builder as it has to be created.
        stored: the builder as buildx will use it.
        engine: the engine's address, for nodes without an endpoint; empty if docker decides.
        container_of: returns the container of a node with the docker-container driver, if any.
    """
    if stored.driver != wanted.driver:
        return [Difference(wanted.name, "driver", wanted.driver, stored.driver)]
    nodes = {node.name: node for node in stored.nodes}
    result = [
        Difference(name, "node", "none", node.endpoint)
        for name, node in nodes.items()
        if name not in {node.name for node in wanted.nodes}
    ]
    text = desired.buildkitd_toml(wanted)
    for node in wanted.nodes:
        actual = nodes.get(node.name)
        if actual is None:
            result.append(Difference(node.name, "node", node.endpoint or "present", "missing"))
            continue
        result += _compare_stored(node, node.endpoint or engine, text, actual)
        if wanted.driver is Driver.CONTAINER:
            result += _compare_container(node, text, container_of(actual))
    # A difference in the store usually is one in the container, too: report it once.
    return list({(item.node, item.setting): item for item in reversed(result)}.values())[::-1]


def read_container(client: Client, node: str, endpoint: str) -> Container | None:
    """Return the container of a node, None if there is none.

    Raises:
        EngineError: docker's answer cannot be read.
        CommandError: docker was killed while it sent the configuration.
    """
    name = container_name(node)
    command = docker.inspect_container_command(client, endpoint, name)
    completed = process.run(command, environment=client.environment, timeout=ANSWER, check=False)
    if completed.returncode:
        return None
    try:
        document = json.loads(completed.stdout)[0]
        image = str(document["Config"]["Image"])
        options = _options(document["Config"], document["HostConfig"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise EngineError(f"{name}: docker's answer does not describe a container") from None
    return Container(image, _configuration(client, name, endpoint), options)


def container_name(node: str) -> str:
    """Return the name that buildx gives to the container of a node; its volume adds `_state`."""
    return f"buildx_buildkit_{node}"


def _options(config: Mapping[str, object], host: Mapping[str, object]) -> dict[str, str]:
    restart = host.get("RestartPolicy")
    environment = config.get("Env")
    variables = [str(item) for item in environment] if isinstance(environment, list) else []
    return {
        "image": str(config["Image"]),
        "network": str(host.get("NetworkMode", "")),
        "restart-policy": str(restart.get("Name", "")) if isinstance(restart, Mapping) else "",
        "memory": str(host.get("Memory", 0)),
        "memory-swap": str(host.get("MemorySwap", 0)),
        "cpu-period": str(host.get("CpuPeriod", 0)),
        "cpu-quota": str(host.get("CpuQuota", 0)),
        "cpu-shares": str(host.get("CpuShares", 0)),
        "cpuset-cpus": str(host.get("CpusetCpus", "")),
        "cpuset-mems": str(host.get("CpusetMems", "")),
        **{f"env.{key}": value for key, _, value in (item.partition("=") for item in variables)},
    }


def _configuration(client: Client, container: str, endpoint: str) -> str:
    """Return the buildkitd.toml in a container, whether it runs or not."""
    path = f"/etc/buildkit/{desired.FILE}"
    command = docker.read_file_command(client, endpoint, container, path)
    try:
        # Read all of it first: if docker is killed, its error is the cause, not a short archive.
        with process.reading(command, environment=client.environment) as stream:
            archived = io.BytesIO(stream.read())
        with tarfile.open(fileobj=archived) as archive:
            files = (archive.extractfile(member) for member in archive)
            text = b"".join(file.read() for file in files if file)
    except CommandError as error:
        if _MISSING.search(str(error)):
            return ""
        raise
    except tarfile.TarError as error:
        raise CommandError(f"{container}: docker sent no archive: {error}") from None
    return text.decode(errors="replace")


def _compare_stored(
    node: Node, endpoint: str, text: str, actual: StoredNode
) -> Iterator[Difference]:
    if endpoint and endpoint != actual.endpoint and not actual.endpoint.startswith("kubernetes:"):
        yield Difference(node.name, "endpoint", endpoint, actual.endpoint)
    platforms = [platform.value for platform in node.platforms]
    if set(platforms) != set(actual.platforms):
        wanted, has = (", ".join(names) or _UNSET for names in (platforms, actual.platforms))
        yield Difference(node.name, "platforms", wanted, has)
    yield from _compare_tables(node.name, "", dict(node.options), dict(actual.options))
    yield from _compare_text(node.name, text, dict(actual.files).get(desired.FILE, ""))


def _compare_container(node: Node, text: str, actual: Container | None) -> Iterator[Difference]:
    if actual is None:
        return  # buildx creates it at the next start, from its store
    options = dict(node.options)
    for key, value in options.items():
        has = _actual_option(key, value, actual.options)
        if has != value:
            yield Difference(node.name, key, value, has)
    if "image" not in options and UPSTREAM not in actual.image:
        yield Difference(node.name, "image", UPSTREAM, actual.image)
    if "network" not in options and actual.options["network"] not in _DEFAULT_NETWORKS:
        yield Difference(node.name, "network", _UNSET, actual.options["network"])
    yield from _compare_text(node.name, text, actual.configuration)


def _actual_option(option: str, wanted: str, options: Mapping[str, str]) -> str:
    """Return an option of a container, and the wanted value if it means the same.

    Options that docker does not show cannot differ.
    """
    has = options.get(option)
    if option.startswith("env."):
        return has or _UNSET
    if has is None:
        return wanted
    if option in {"memory", "memory-swap"}:
        size = _SIZE.fullmatch(wanted.lower())
        same = not size or int(has) == int(float(size[1]) * _UNITS[size[2] or "b"])
        return wanted if same else has
    # buildx may pin the image: NAME:TAG@sha256:...
    return wanted if option == "image" and has.startswith(f"{wanted}@") else has


def _compare_text(node: str, wanted: str, actual: str) -> Iterator[Difference]:
    """Compare two TOML texts by their values: buildx writes the same values in another form."""
    yield from _compare_tables(
        node, f"{desired.FILE}: ", flatten_toml(wanted), flatten_toml(actual)
    )


def flatten_toml(text: str) -> dict[str, str]:
    """Return the values of a TOML text by their dotted keys."""
    try:
        return dict(_flatten(paths.parse_toml(text), ""))
    except ValueError as error:
        return {"": f"not TOML: {error}"}


def _compare_tables(
    node: str, prefix: str, wanted: Mapping[str, str], actual: Mapping[str, str]
) -> Iterator[Difference]:
    for key in sorted({*wanted, *actual}):
        if wanted.get(key) != actual.get(key):
            setting = f"{prefix}{key}"
            yield Difference(node, setting, wanted.get(key, _UNSET), actual.get(key, _UNSET))


def _flatten(table: Mapping[str, object], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value, default=str)
