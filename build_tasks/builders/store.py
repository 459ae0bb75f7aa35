"""Builders on disk: what buildx writes in the folders that BUILDX_CONFIG names.

The files are only read. `buildx inspect` prints the same, but asks every node first, and waits
twenty seconds for one that hangs.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from build_tasks import paths
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import DiskError, EngineError
from build_tasks.model.builder import DEFAULT, Builder, Node
from build_tasks.process import Announce, locks


def suite_folder(name: str) -> Path:
    """Return the BUILDX_CONFIG of a builder that the suite creates."""
    return paths.builder_folder(name) / "buildx"


def users_folder() -> Path:
    """Return the BUILDX_CONFIG of the user's own builders."""
    return Path(os.environ.get("BUILDX_CONFIG") or paths.docker_config() / "buildx")


def exists(name: str) -> bool:
    """Return whether the suite has created a builder of this name."""
    return _file(suite_folder(name), name).exists()


def is_users(name: str) -> bool:
    """Return whether a builder is the user's own, or that of a CI action."""
    return _file(users_folder(), name).exists() and not exists(name)


def client_for(client: Client, name: str) -> Client:
    """Return the client that finds a builder: the user's where it is, others in their folders."""
    if is_users(name):
        return client.with_environment(BUILDX_CONFIG=str(users_folder()))
    if name == DEFAULT:
        return client
    return client.with_environment(BUILDX_CONFIG=str(suite_folder(name)))


def suite_names() -> list[str]:
    """Return the names of the builders that the suite has created."""
    folders = paths.builder_folder("").glob("[!.]*")
    return sorted(path.name for path in folders if exists(path.name))


def names(folder: Path) -> list[str]:
    """Return the names of the builders in a folder."""
    return sorted(path.name for path in (folder / "instances").glob("*"))


def read(folder: Path, name: str) -> Builder | None:
    """Return a builder of a folder, None if the folder does not have it.

    Raises:
        DiskError: the file cannot be read.
        EngineError: it was not written by buildx.
    """
    path = _file(folder, name)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        nodes = tuple(_node(item) for item in document["Nodes"] or ())
        return Builder(name, str(document["Driver"]), nodes)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DiskError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise EngineError(f"{path}: not a builder that buildx wrote: remove the file") from None


def of(client: Client, name: str) -> Builder | None:
    """Return the builder that a client reaches, None if it is an engine's own.

    Raises:
        DiskError: the file cannot be read.
        EngineError: it was not written by buildx.
    """
    return read(Path(client.environment["BUILDX_CONFIG"]), name)


def lock(name: str, announce: Announce) -> contextlib.AbstractContextManager[None]:
    """Return the lock of the process that creates, starts or removes a builder."""
    path = paths.builder_folder(".locks") / name
    return locks.hold(path, f"creates builder {name}", announce)


@contextlib.contextmanager
def isolated(client: Client, name: str, node: str = "") -> Iterator[Client]:
    """Yield a client for which buildx knows only this builder, or only one of its nodes.

    `buildx ls` waits for every builder and docker context that it knows, and `buildx du` adds up
    all nodes of a builder (up to buildx 0.36). A driver finds a node by the name of the node, so
    the copy of a builder has the same nodes.
    """
    path = _file(Path(client.environment["BUILDX_CONFIG"]), name)
    contexts = {client.context}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "buildx" / "instances").mkdir(parents=True)
        if path.exists():
            document = json.loads(path.read_text(encoding="utf-8"))
            entries = [item for item in document["Nodes"] if node in {"", item["Name"]}]
            contexts |= {item["Endpoint"] for item in entries}
            text = json.dumps({**document, "Nodes": entries})
            _file(folder / "buildx", name).write_text(text, encoding="utf-8")
        config = client.environment.get("DOCKER_CONFIG") or paths.docker_config()
        _link_docker_config(Path(config), folder, contexts)
        yield client.with_environment(
            BUILDX_CONFIG=str(folder / "buildx"), DOCKER_CONFIG=str(folder)
        )


def _link_docker_config(source: Path, target: Path, contexts: Iterable[str]) -> None:
    """Make a docker configuration of links, with only some of the contexts."""
    for path in source.glob("*"):
        if path.name not in {"buildx", "contexts"}:
            (target / path.name).symlink_to(path)
    for context in contexts:
        key = hashlib.sha256(context.encode()).hexdigest()
        meta, tls = (Path("contexts", kind, key) for kind in ("meta", "tls"))
        if (source / meta).is_dir():
            (target / meta).mkdir(parents=True)  # docker overlooks a link to a folder here
            (target / meta / "meta.json").symlink_to(source / meta / "meta.json")
            (target / tls).parent.mkdir(parents=True, exist_ok=True)
            (target / tls).symlink_to(source / tls)


def _file(folder: Path, name: str) -> Path:
    return folder / "instances" / name


def _node(item: dict[str, Any]) -> Node:
    files = (item.get("Files") or {}).items()
    platforms = (
        (platform["os"], platform["architecture"], platform.get("variant"))
        for platform in item.get("Platforms") or ()
    )
    return Node(
        name=str(item["Name"]),
        endpoint=str(item["Endpoint"]),
        platforms=tuple("/".join(filter(None, parts)) for parts in platforms),
        options=tuple(sorted((item.get("DriverOpts") or {}).items())),
        files=tuple(
            (name, base64.b64decode(text).decode(errors="replace")) for name, text in sorted(files)
        ),
    )
