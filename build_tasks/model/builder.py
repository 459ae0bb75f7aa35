"""Dedicated builders as they are wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from build_tasks.errors import UsageError
from build_tasks.model.matrix import Platform
from build_tasks.text.formatting import listed

#: The engine's own builder; nobody creates or removes it.
DEFAULT = "default"
#: What a dedicated builder is called where nobody names one.
DEDICATED = "airflow-images"


class Driver(StrEnum):
    """How buildx reaches the BuildKit of a builder."""

    CONTAINER = "docker-container"
    REMOTE = "remote"
    KUBERNETES = "kubernetes"
    DOCKER = "docker"

    @classmethod
    def parse(cls, value: object, place: str) -> Driver:
        """Return the driver with this name, or raise UsageError that names the place."""
        if value not in list(cls):
            raise UsageError(f"{place}: unknown driver {value!r}: choose {listed(cls)}")
        return cls(str(value))


@dataclass(frozen=True)
class Node:
    """One BuildKit of a builder.

    Args:
        name: its name; buildx names what it makes for it after this.
        endpoint: where it is; empty for the engine itself, or where the driver finds it.
        platforms: the platforms that it gets the builds of; empty: those that it says it has.
        options: the driver's options, the builder's and its own.
    """

    name: str
    endpoint: str = ""
    platforms: tuple[Platform, ...] = ()
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Builder:
    """A dedicated builder as it is wanted.

    Args:
        name: its name.
        driver: how buildx reaches it.
        nodes: its BuildKits, at least one; none where it is the engine's own builder.
        max_used_space: bytes that its cache may take, at each node; 0: BuildKit's own rule.
        insecure: registries without TLS, or with a certificate that nobody vouches for.
        mirrors: mirrors by registry.
        origins: where each of its values came from.
    """

    name: str
    driver: Driver = Driver.CONTAINER
    nodes: tuple[Node, ...] = ()
    max_used_space: int = 0
    insecure: tuple[str, ...] = ()
    mirrors: tuple[tuple[str, tuple[str, ...]], ...] = ()
    origins: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({}), compare=False, repr=False
    )


def default_builder(name: str) -> Builder:
    """Return the builder that a name means where images.toml does not define it."""
    return Builder(name, nodes=(Node(f"{name}0"),))


def setting_rows(builders: Mapping[str, Builder]) -> list[tuple[str, object, str]]:
    """Return key, value and origin of each thing that is set for the builders."""
    result: list[tuple[str, object, str]] = []
    for one in builders.values():
        shown: dict[str, object] = {
            "driver": one.driver.value,
            "max-used-space": one.max_used_space,
            "insecure-registries": one.insecure,
            "mirrors": {name: list(mirrors) for name, mirrors in one.mirrors},
        }
        for number, node in enumerate(one.nodes):
            shown[f"nodes[{number}].name"] = node.name
            shown[f"nodes[{number}].endpoint"] = node.endpoint
            shown[f"nodes[{number}].platforms"] = node.platforms
            shown[f"nodes[{number}].options"] = dict(node.options)
        result += [
            (f"builders.{one.name}.{key}", item, one.origins.get(key, "default"))
            for key, item in shown.items()
        ]
    return result
