"""Dedicated builders, which hold a cache of their own."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path

from build_tasks import buildx, places
from build_tasks.client import Client
from build_tasks.errors import ImagesError, UsageError
from build_tasks.matrix import listed

#: The engine's own builder; nobody creates or removes it.
DEFAULT = "default"
#: What a dedicated builder is called where nobody names one.
DEDICATED = "airflow-images"


def ensure(client: Client, name: str, registry: str, *, announce: Callable[[str], None]) -> None:
    """Make sure that a dedicated builder of this name exists and runs.

    Any number of processes may ask for it at once: one creates it, the others wait and find it.

    Args:
        client: the way to the engine.
        name: the builder's name.
        registry: the registry that it will read and write.
        announce: is told what happens.

    Raises:
        ImagesError: the builder cannot be created or does not start.
    """
    from filelock import FileLock  # noqa: PLC0415 - not on the way of a build

    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{name}.lock"):
        if exists(name):
            buildx.inspect(client, name, boot=True)
            announce(f"builder {name} exists and runs")
            return
        try:
            buildx.create(client, name, options=_driver_options(client, registry, announce))
        except BaseException:
            _forget(client, name)
            raise
    announce(f"builder {name} is ready: build with it with --builder {name}")


def remove(client: Client, name: str) -> None:
    """Remove a dedicated builder and its cache.

    Raises:
        UsageError: the suite has no such builder.
        ImagesError: it cannot be removed.
    """
    if not exists(name):
        raise UsageError(
            f"--builder: no builder {name!r} here: there is {listed(_names()) or 'none'}"
        )
    buildx.remove(client, name)


def exists(name: str) -> bool:
    """Return whether the suite has a dedicated builder of this name."""
    return name in _names()


def _names() -> list[str]:
    return sorted(path.name for path in (_folder() / "instances").glob("*"))


def _folder() -> Path:
    return places.cache_folder() / "buildx"


def _forget(client: Client, name: str) -> None:
    """Leave no half-made builder that the next run would take for a whole one."""
    try:
        buildx.remove(client, name)
    except ImagesError:
        (_folder() / "instances" / name).unlink(missing_ok=True)


def _driver_options(
    client: Client, registry: str, announce: Callable[[str], None]
) -> tuple[tuple[str, str], ...]:
    options = []
    if client.embedded and not client.embedded.hub:
        from build_tasks.engine import buildkit_image  # noqa: PLC0415 - the embedded engine's

        options.append(("image", buildkit_image.ensure(client.embedded, announce)))
    if _is_loopback(registry):
        # In a network of its own the builder would look for the registry in itself.
        options.append(("network", "host"))
    return tuple(options)


def _is_loopback(registry: str) -> bool:
    host = registry.rpartition(":")[0] or registry
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
