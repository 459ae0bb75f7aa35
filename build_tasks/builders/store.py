"""What buildx has written down of a builder, in the folder that BUILDX_CONFIG names.

Read, never changed; `buildx inspect` says the same, but asks every node before it does, and waits
twenty seconds for one that hangs.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build_tasks.buildx.toolchain import Client
from build_tasks.errors import EngineError


@dataclass(frozen=True)
class StoredNode:
    """One node, as buildx will use it.

    Args:
        name: its name.
        endpoint: where it is.
        platforms: the platforms that somebody set for it.
        options: the driver's options.
        files: the texts of its configuration, by name.
    """

    name: str
    endpoint: str
    platforms: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Stored:
    """One builder, as buildx will use it."""

    name: str
    driver: str
    nodes: tuple[StoredNode, ...]


def names(folder: Path) -> list[str]:
    """Return the names of the builders that a folder has."""
    return sorted(path.name for path in (folder / "instances").glob("*"))


def read(folder: Path, name: str) -> Stored | None:
    """Return a builder of a folder, None if it does not have it.

    Raises:
        EngineError: what stands there is not what buildx writes.
    """
    path = folder / "instances" / name
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        nodes = tuple(_node(item) for item in written["Nodes"] or ())
        return Stored(name, str(written["Driver"]), nodes)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EngineError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise EngineError(f"{path}: is no builder that buildx wrote: remove the file") from None


def of(client: Client, name: str) -> Stored | None:
    """Return the builder that a client reaches, None if it is an engine's own.

    Raises:
        EngineError: what stands there is not what buildx writes.
    """
    return read(Path(client.environment["BUILDX_CONFIG"]), name)


def alone(client: Client, name: str, node: str, folder: Path) -> Client:
    """Return a client for which a builder has one node only.

    buildx adds up what the nodes of a builder say, in every version up to 0.36; each is asked for
    itself where buildx knows no other. The driver finds a node by the node's name, not by the
    builder's, so that it is the same one.

    Args:
        client: the way to the builder.
        name: the builder's name.
        node: the node's name.
        folder: an empty folder for this alone.
    """
    path = Path(client.environment["BUILDX_CONFIG"]) / "instances" / name
    written = json.loads(path.read_text(encoding="utf-8"))
    nodes = [entry for entry in written["Nodes"] if entry["Name"] == node]
    instances = folder / "instances"
    instances.mkdir(parents=True)
    text = json.dumps({**written, "Nodes": nodes})
    (instances / name).write_text(text, encoding="utf-8")
    return client.with_builders_in(folder)


def _node(item: dict[str, Any]) -> StoredNode:
    return StoredNode(
        name=str(item["Name"]),
        endpoint=str(item["Endpoint"]),
        platforms=tuple(map(_platform, item.get("Platforms") or ())),
        options=tuple(sorted((item.get("DriverOpts") or {}).items())),
        files=tuple(
            (name, base64.b64decode(text).decode(errors="replace"))
            for name, text in sorted((item.get("Files") or {}).items())
        ),
    )


def _platform(item: dict[str, str]) -> str:
    return "/".join(filter(None, (item["os"], item["architecture"], item.get("variant", ""))))
