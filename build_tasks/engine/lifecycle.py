"""Start, stop, prune and describe the embedded engine.

A start or a stop may be killed at any moment. So what is left of an engine is found by its own
names (a variable of its processes, its bridge, its emulators, its mounts), never by a record of
what was started, and the next command removes it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from build_tasks import paths, process
from build_tasks.engine import (
    credentials,
    daemons,
    emulation,
    network,
    packages,
    processes,
    registry,
    state,
)
from build_tasks.engine.folders import Folders, engine_folders, machine_lock
from build_tasks.engine.registry import Superseded
from build_tasks.engine.state import EmbeddedEngine, EngineState
from build_tasks.errors import EngineError, ImagesError
from build_tasks.process import Announce, locks
from build_tasks.text import hints

#: An upstream image that can be read if Docker Hub can be reached.
_UPSTREAM = "python:3.11-slim-bookworm"
#: Seconds for Docker Hub to answer.
_HUB = 15.0
#: Seconds that pruning waits until nobody else uses the registry.
_PRUNING = 30.0
_ACTIVITY = "starts or stops the embedded engine"


def start(*, announce: Announce, emulate: Sequence[str] = ()) -> EmbeddedEngine:
    """Return the engine; start it if it does not run. Any number of processes may do so at once.

    Args:
        announce: prints what is done, line by line.
        emulate: architectures that the engine has to run, natively or not.
    """
    foreign = [name for name in emulate if not emulation.native(name)]
    folders = engine_folders()
    recorded = state.read_running(folders)
    if recorded is None or not _emulates(folders, recorded, foreign):
        packages.check_supported()
        with locks.hold(folders.lock, _ACTIVITY, announce):
            recorded = state.read_running(folders)
            if recorded is None:
                remove_leftovers(folders)
                recorded = _start(folders, announce)
            if not _emulates(folders, recorded, foreign):
                recorded = _emulate(folders, recorded, foreign, announce)
        if not recorded.complete:
            raise EngineError(
                f"the embedded engine ended at once: see `{hints.task('engine.status')}`"
            )
    return state.describe(folders, recorded)


def stop(*, announce: Announce, purge: bool = False) -> list[str]:
    """Stop the engine and undo what it changed; return a line for each thing that was undone."""
    folders = engine_folders()
    if not any(path.exists() for path in (folders.home, folders.run, folders.removed)):
        return []
    with locks.hold(folders.lock, _ACTIVITY, announce):
        return [*remove_leftovers(folders), *(_purge(folders) if purge else [])]


def prune(*, announce: Announce, older: float = 0.0, dry: bool = False) -> Superseded | None:
    """Remove from the registry what no tag leads to, if it has an age in seconds.

    Returns:
        What was removed, or would be (`dry`); None if other processes use the registry.
    """
    folders = engine_folders()
    recorded = state.read(folders)
    if dry or recorded is None:
        return registry.superseded(folders, time.time(), older)
    activity = "uses the engine's registry"
    with locks.alone(folders.registry_lock, _PRUNING, activity, announce) as alone:
        if alone:
            return registry.remove_superseded(folders, recorded, time.time(), older)
    return None


def status() -> dict[str, object]:
    """Return what `engine.status` prints, by name."""
    folders = engine_folders()
    recorded = state.read_running(folders)
    if recorded is None:
        return {
            "running": False,
            "folder": str(folders.home),
            "started or stopped by process": locks.holder(folders.lock),
            "left behind": [str(left) for left in processes.find(folders)],
        }
    engine = state.describe(folders, recorded)
    return {
        "running": True,
        "release": engine.release,
        "DOCKER_HOST": engine.host,
        "registry": engine.registry,
        "docker hub": engine.hub,
        "emulates": list(recorded.foreign),
        "DOCKER_CONFIG": engine.environment["DOCKER_CONFIG"],
        "docker": str(engine.docker),
        "buildx": str(engine.buildx),
        "folder": str(folders.home),
        "logs": [str(folders.home / "dockerd.log"), str(folders.home / "registry.log")],
    }


def remove_leftovers(folders: Folders) -> list[str]:
    """End the engine and restore the machine, with its lock held; return a line for each thing."""
    state.clear(folders)  # from here on nobody takes what is left for an engine
    removed = [f"stopped {ended}" for ended in processes.end(folders)]
    disabled = emulation.disable(folders.unique_id)
    removed += [f"disabled the emulation of {architecture}" for architecture in disabled]
    variables = packages.environment(packages.any_unpacked(folders))
    removed += [f"removed the bridge {name}" for name in network.remove(folders, variables)]
    _unmount(folders)
    shutil.rmtree(folders.run, ignore_errors=True)
    _remove_purged(folders)
    return removed


def _purge(folders: Folders) -> list[str]:
    """Remove the engine's folder, renamed first: half of it must not be taken for an engine."""
    if not folders.home.exists():
        return []
    try:
        folders.home.rename(folders.removed)
    except OSError:
        shutil.rmtree(folders.home)  # a disk is mounted there
    _remove_purged(folders)
    return [f"removed {folders.home}"]


def _remove_purged(folders: Folders) -> None:
    if folders.removed.exists():
        shutil.rmtree(folders.removed)


def _unmount(folders: Folders) -> None:
    """Unmount what a killed dockerd or mmdebstrap left mounted, the innermost first.

    dockerd also mounts its data folder upon itself. A disk that the user mounted there is no such
    mount: it shows its root (proc_pid_mountinfo(5)).
    """
    text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    data = str(folders.home / "data")
    inside = tuple(f"{folder}/" for folder in (folders.run, data, folders.home / "bases"))
    targets = []
    for line in text.splitlines():
        root, target = map(processes.unescape, line.split()[3:5])
        if target.startswith(inside) or (target == data and root != "/"):
            targets.append(target)
    for target in sorted(targets, reverse=True):
        process.run(("umount", "--lazy", target), check=False)


def _start(folders: Folders, announce: Announce) -> EngineState:
    for line in (
        "no Docker Engine found: starting the embedded one (Debian's Docker Engine and buildx,",
        f"and a registry on 127.0.0.1) in {folders.home}.",
        f"Nothing is installed on this machine. To stop the engine: {hints.task('engine.stop')};",
        f"to remove its data, too: {hints.task('engine.stop', '--purge')}",
    ):
        announce(line)
    release, root = packages.prepare(folders, announce)
    try:
        network.create(folders, packages.environment(root))
        dockerd = daemons.start_dockerd(folders, root)
        foreign = emulation.emulated()
        with machine_lock():  # until the registry listens, no other engine may choose its port
            port = network.free_port(state.saved_setting(folders, "registry-port"))
            address = f"127.0.0.1:{state.save_setting(folders, 'registry-port', str(port))}"
            own_registry = daemons.start_registry(folders, root, address)
        running = {"dockerd": dockerd, "registry": own_registry}
        recorded = EngineState(release, address, hub=False, daemons=running, foreign=foreign)
        credentials.configure(folders, address, paths.docker_config())
        hub = _reaches_hub(state.describe(folders, recorded))
        return state.write(folders, replace(recorded, hub=hub))
    except BaseException:
        remove_leftovers(folders)
        raise


def _emulates(folders: Folders, recorded: EngineState, foreign: Sequence[str]) -> bool:
    """Return whether dockerd knows these architectures, and they are emulated until it stops."""
    return all(
        name in recorded.foreign and emulation.lasts(name, folders.unique_id) for name in foreign
    )


def _emulate(
    folders: Folders, recorded: EngineState, foreign: Sequence[str], announce: Announce
) -> EngineState:
    """Register emulators, and restart dockerd if it does not know all of them."""
    root = packages.unpack(folders, recorded.release, announce, emulation=True)
    for name in foreign:
        emulation.enable(root, name, folders.unique_id, announce)
    if set(foreign) <= set(recorded.foreign):
        return recorded
    # dockerd looks once, when it starts, for what it can run.
    daemons.wait_until_idle(folders, state.describe(folders, recorded), announce)
    processes.terminate([recorded.daemons["dockerd"]])
    running = {**recorded.daemons, "dockerd": daemons.start_dockerd(folders, root)}
    return state.write(folders, replace(recorded, daemons=running, foreign=emulation.emulated()))


def _reaches_hub(engine: EmbeddedEngine) -> bool:
    command = (str(engine.buildx), "imagetools", "inspect", _UPSTREAM)
    try:
        process.run(command, environment=engine.environment, timeout=_HUB)
    except ImagesError:
        return False
    return True
