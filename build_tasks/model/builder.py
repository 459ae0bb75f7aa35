"""Builders, as they are configured or as buildx stored them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from build_tasks.model.aliases import Pairs

#: The engine's own builder, which cannot be created or removed.
DEFAULT = "default"
#: The default name of a dedicated builder.
DEDICATED = "airflow-images"


class Driver(StrEnum):
    """Drivers of buildx."""

    CONTAINER = "docker-container"
    REMOTE = "remote"
    KUBERNETES = "kubernetes"
    DOCKER = "docker"


@dataclass(frozen=True)
class Node:
    """One node (BuildKit) of a builder.

    Args:
        name: its name; buildx names its container after it.
        endpoint: its address, or the name of a docker context; empty for the engine itself, or
            where the driver finds it.
        platforms: the platforms that it builds for; empty: those that it reports.
        options: the driver options of the builder and of the node.
        files: the texts of its stored configuration files, by name.
    """

    name: str
    endpoint: str = ""
    platforms: tuple[str, ...] = ()
    options: Pairs = ()
    files: Pairs = ()


@dataclass(frozen=True)
class Builder:
    """A builder.

    Args:
        driver: one of `Driver`; buildx may have stored another.
        nodes: its nodes, at least one; none for the engine's own builder.
        max_used_space: bytes that the cache of each node may take; 0: BuildKit's default.
        insecure: registries without TLS, or with an untrusted certificate.
        origins: where each value was set.
    """

    name: str
    driver: str = Driver.CONTAINER
    nodes: tuple[Node, ...] = ()
    max_used_space: int = 0
    insecure: tuple[str, ...] = ()
    mirrors: tuple[tuple[str, tuple[str, ...]], ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)


def default_builder(name: str) -> Builder:
    """Return the builder of a name that images.toml does not define."""
    return Builder(name, nodes=(Node(f"{name}0"),))


def setting_rows(builders: Mapping[str, Builder]) -> Iterator[tuple[str, object, str]]:
    """Yield key, value and origin of each setting of the builders."""
    for builder in builders.values():
        values: dict[str, object] = {
            "driver": str(builder.driver),
            "max-used-space": builder.max_used_space,
            "insecure-registries": builder.insecure,
            "mirrors": {name: list(mirrors) for name, mirrors in builder.mirrors},
        }
        for number, node in enumerate(builder.nodes):
            values[f"nodes[{number}].name"] = node.name
            values[f"nodes[{number}].endpoint"] = node.endpoint
            values[f"nodes[{number}].platforms"] = node.platforms
            values[f"nodes[{number}].options"] = dict(node.options)
        for key, value in values.items():
            yield f"builders.{builder.name}.{key}", value, builder.origins.get(key, "default")
