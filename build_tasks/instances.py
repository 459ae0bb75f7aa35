"""What buildx has written down of a builder: its driver and its nodes; asked of no engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from build_tasks.client import Client

#: The driver of an engine's own builder, which buildx writes down nowhere.
DOCKER = "docker"


@dataclass(frozen=True)
class Instance:
    """A builder.

    Args:
        name: its name.
        driver: `docker`, `docker-container`, `remote` or `kubernetes`.
        nodes: the names of its nodes.
        written: the whole of what buildx wrote down, empty for an engine's own builder.
    """

    name: str
    driver: str
    nodes: tuple[str, ...]
    written: Mapping[str, Any]

    @property
    def pushes_by_digest(self) -> bool:
        """Whether it can push an image without a tag; an engine's own builder cannot."""
        return self.driver != DOCKER


def find(client: Client, name: str) -> Instance:
    """Return a builder; what nobody wrote down is an engine's own (a docker context's)."""
    try:
        written = json.loads((_folder(client) / name).read_text(encoding="utf-8"))
        nodes = tuple(str(node["Name"]) for node in written["Nodes"])
        return Instance(name, str(written["Driver"]), nodes, written)
    except (OSError, ValueError, KeyError, TypeError):
        return Instance(name, DOCKER, (name,), {})


def names(client: Client) -> list[str]:
    """Return the names of the builders that buildx has written down."""
    return sorted(path.name for path in _folder(client).glob("*"))


def alone(client: Client, one: Instance, node: str, folder: Path) -> Client:
    """Return a client for which the builder has one node only.

    buildx adds up what the nodes of a builder say, in every version up to 0.36; each is asked for
    itself where buildx knows no other. The driver finds a node by the node's name, not by the
    builder's, so that it is the same one.

    Args:
        client: the way to the builder.
        one: the builder.
        node: the node.
        folder: an empty folder for this alone.
    """
    if not one.written:
        return client
    nodes = [entry for entry in one.written["Nodes"] if entry["Name"] == node]
    instances = folder / "instances"
    instances.mkdir(parents=True)
    text = json.dumps({**one.written, "Nodes": nodes})
    (instances / one.name).write_text(text, encoding="utf-8")
    return replace(client, environment={**client.environment, "BUILDX_CONFIG": str(folder)})


def _folder(client: Client) -> Path:
    return Path(client.environment.get("BUILDX_CONFIG", "")) / "instances"
