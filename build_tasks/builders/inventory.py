"""The dedicated builders that the suite has, and where they differ from what is wanted."""

from __future__ import annotations

from pathlib import Path

from build_tasks import paths
from build_tasks.builders import container, drift, store
from build_tasks.builders.drift import Difference
from build_tasks.builders.store import Stored, StoredNode
from build_tasks.buildx import toolchain
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import EngineError
from build_tasks.model.builder import Builder


def folder(name: str) -> Path:
    """Return the folder in which buildx keeps a dedicated builder (BUILDX_CONFIG)."""
    return paths.builder_folder(name) / "buildx"


def exists(name: str) -> bool:
    """Return whether the suite has a dedicated builder of this name."""
    return (folder(name) / "instances" / name).exists()


def names() -> list[str]:
    """Return the names of the dedicated builders that the suite has."""
    home = paths.builder_folder("")
    return sorted(path.name for path in home.glob("[!.]*") if exists(path.name))


def users(name: str) -> Path | None:
    """Return the folder in which the user's own buildx keeps a builder, if it has it."""
    theirs = toolchain.users_builders()
    return theirs if (theirs / "instances" / name).exists() and not exists(name) else None


def stored(name: str) -> Stored:
    """Return a dedicated builder as buildx will use it.

    Raises:
        EngineError: the suite has none of this name.
    """
    found = store.read(folder(name), name)
    if found is None:
        raise EngineError(f"builder {name} is not there: invoke builder.create --builder {name}")
    return found


def differences(client: Client, wanted: Builder) -> list[Difference]:
    """Return where a builder that exists differs from the one that is wanted.

    Args:
        client: the way to the engine.
        wanted: the builder as it has to be made.

    Raises:
        EngineError: there is no such builder.
    """

    def look(node: StoredNode) -> container.Container | None:
        return container.look(client, node.name, node.endpoint)

    return drift.find(wanted, stored(wanted.name), client.host or client.context, look)
