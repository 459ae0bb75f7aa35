"""Start, find and stop the embedded engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from build_tasks import paths, process
from build_tasks.engine import (
    cleanup,
    credentials,
    daemon,
    emulation,
    firewall,
    machine,
    network,
    packages,
    processes,
    registry,
    state,
    storage,
)
from build_tasks.engine.handle import Embedded, describe, running
from build_tasks.engine.packages import supported
from build_tasks.engine.state import Folders, Running
from build_tasks.engine.storage import Superseded
from build_tasks.errors import EngineError, ImagesError
from build_tasks.process import locks

__all__ = ["Embedded", "prune", "running", "start", "status", "stop", "supported"]

#: An upstream image whose presence tells whether Docker Hub can be reached.
_UPSTREAM = "python:3.11-slim-bookworm"
#: Seconds that pruning waits until nobody uses the registry.
_PRUNING = 30.0
#: Seconds for Docker Hub to answer.
_HUB = 15.0


def start(*, announce: Callable[[str], None], emulate: Sequence[str] = ()) -> Embedded:
    """Return the engine, started if it does not run; any number of processes may ask at once.

    Args:
        announce: is told, line by line, what is done.
        emulate: architectures that the engine has to run, natively or not.

    Raises:
        EngineError: this machine cannot have one, or it does not start.
        NetworkError: the packages cannot be fetched.
        DiskError: there is no space.
    """
    foreign = [name for name in emulate if not emulation.native(name)]
    where = state.folders()
    found = running()
    if found and _runs(where, state.read(where), foreign):
        return found
    supported()
    with locks.hold(where.lock, "starts or stops the embedded engine", announce):
        if not running():
            cleanup.remove(where)  # what a start or a stop that was killed has left
            _announce(where, announce)
            _start(where, announce)
        seen = state.read(where)
        if seen and not _runs(where, seen, foreign):
            _emulate(where, seen, foreign, announce)
    found = running()
    if found is None:
        raise EngineError("the embedded engine ended at once: see `invoke engine.status`")
    return found


def stop(*, announce: Callable[[str], None], purge: bool = False) -> list[str]:
    """Stop what `start` started, and nothing else; return a line for each thing that was.

    Args:
        announce: is told whom a wait is for.
        purge: also remove everything that the engine keeps.
    """
    where = state.folders()
    if not any(path.exists() for path in (where.home, where.run, where.removed)):
        return []
    with locks.hold(where.lock, "starts or stops the embedded engine", announce):
        return [*cleanup.remove(where), *(cleanup.purge(where) if purge else [])]


def prune(
    *, announce: Callable[[str], None], older: float = 0.0, dry: bool = False
) -> Superseded | None:
    """Remove what the registry keeps without need, or say what would go.

    Args:
        announce: is told whom a wait is for, and why nothing is removed.
        older: seconds that it has to be old.
        dry: remove nothing.

    Returns:
        What went, or would go; None where other processes use the registry.

    Raises:
        CommandError: the registry fails.
    """
    where = state.folders()
    seen = state.read(where)
    if dry or seen is None:
        return storage.superseded(where, time.time(), older)
    activity = "uses the engine's registry"
    with locks.alone(where.registry_lock, _PRUNING, activity, announce) as free:
        if not free:
            return None
        return storage.remove(where, seen, time.time(), older)


def status() -> dict[str, object]:
    """Return what there is to know of the engine, as data."""
    where = state.folders()
    found = running()
    if found is None:
        return {
            "running": False,
            "folder": str(where.home),
            "started or stopped by process": locks.holder(where.lock),
            "left behind": [str(one) for one in processes.find(where)],
        }
    return {
        "running": True,
        "release": found.release,
        "DOCKER_HOST": found.host,
        "registry": found.registry,
        "docker hub": found.hub,
        "emulates": list(seen.foreign) if (seen := state.read(where)) else [],
        "DOCKER_CONFIG": found.environment["DOCKER_CONFIG"],
        "docker": str(found.docker),
        "buildx": str(found.buildx),
        "folder": str(where.home),
        "logs": [str(where.home / "dockerd.log"), str(where.home / "registry.log")],
    }


def _start(where: Folders, announce: Callable[[str], None]) -> None:
    release, root = _packages(where, announce)
    kept = state.remembered(where, "registry-port")
    address = f"127.0.0.1:{network.free_port(kept)}"
    state.remember(where, "registry-port", address.rpartition(":")[2])
    try:
        addresses = network.make_bridge(where)
        machine.forward_packets()
        firewall.open_for(where.bridge, addresses, packages.environment(root))
        docker = daemon.start(where, root)
        foreign = _foreign()
        daemons = {"dockerd": docker, "registry": registry.start(where, root, address)}
        seen = Running(release, address, hub=False, daemons=daemons, foreign=foreign)
        credentials.configure(where, address, paths.docker_config())
        state.write(where, replace(seen, hub=_hub(describe(where, seen))))
    except BaseException:
        cleanup.remove(where)
        raise


def _packages(where: Folders, announce: Callable[[str], None]) -> tuple[str, Path]:
    for release in packages.release_wanted():
        root = packages.unpack(where, release, announce)
        if packages.runs(root):
            return release, root
        announce(f"the engine of Debian {release} does not run on this machine")
    raise EngineError(
        "no engine of Debian runs on this machine: install Docker Engine 26 or newer with buildx"
    )


def _runs(where: Folders, seen: Running | None, foreign: Sequence[str]) -> bool:
    """Whether dockerd knows these architectures, and the kernel goes on emulating them."""
    return seen is not None and all(
        name in seen.foreign and emulation.lasts(name, where.short) for name in foreign
    )


def _emulate(
    where: Folders, seen: Running, foreign: Sequence[str], announce: Callable[[str], None]
) -> None:
    root = packages.unpack(where, seen.release, announce, emulation=True)
    for name in foreign:
        emulation.enable(root, name, where.short, announce)
    if set(foreign) <= set(seen.foreign):
        return
    # dockerd looks for what it can run once, and sees nothing of what the kernel is told later.
    daemon.wait_until_idle(where, announce)
    state.end([seen.daemons["dockerd"]])
    docker = daemon.start(where, root)
    daemons = {**seen.daemons, "dockerd": docker}
    state.write(where, replace(seen, daemons=daemons, foreign=_foreign()))


def _foreign() -> tuple[str, ...]:
    """Return the architectures that a dockerd that starts now will find emulated."""
    return tuple(name for name in emulation.QEMU if emulation.enabled(name))


def _hub(engine: Embedded) -> bool:
    command = (str(engine.buildx), "imagetools", "inspect", _UPSTREAM)
    try:
        asked = process.run(command, environment=engine.environment, timeout=_HUB, check=False)
    except ImagesError:
        return False
    return not asked.returncode


def _announce(where: Folders, announce: Callable[[str], None]) -> None:
    announce("no Docker Engine here: starting the embedded one (Debian's Docker Engine, buildx,")
    announce(f"a registry on 127.0.0.1). It lives in {where.home};")
    announce("nothing is installed on the machine. `invoke engine.stop` ends it, with --purge")
    announce("it leaves nothing behind.")
