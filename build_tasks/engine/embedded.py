"""Start, find and stop the embedded engine."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from build_tasks import process
from build_tasks.engine import daemon, emulation, firewall, network, packages, registry, state
from build_tasks.engine.handle import Embedded, describe, running
from build_tasks.engine.packages import supported
from build_tasks.engine.state import Folders, Running
from build_tasks.errors import EngineError, ImagesError

__all__ = ["Embedded", "purge", "running", "start", "status", "stop", "supported"]

#: An upstream image whose presence tells whether Docker Hub can be reached.
_UPSTREAM = "python:3.11-slim-bookworm"
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
    with _lock(where):
        seen = state.read(where)
        if not running():
            _clear(where, seen)
            _announce(where, announce)
            seen = _start(where, announce)
        if seen and not _runs(where, seen, foreign):
            _emulate(where, seen, foreign, announce)
    found = running()
    if found is None:
        raise EngineError("the embedded engine ended at once: see `invoke engine.status`")
    return found


def stop() -> list[str]:
    """Stop what `start` started, and nothing else; return a line for each thing that was."""
    where = state.folders()
    if not where.run.exists():
        return []
    with _lock(where):
        return _clear(where, state.read(where))


def purge() -> list[str]:
    """Stop the engine and remove everything that it keeps; return a line for each thing."""
    where = state.folders()
    stopped = stop()
    if not where.home.exists():
        return stopped
    shutil.rmtree(where.home)
    return [*stopped, f"removed {where.home}"]


def status() -> dict[str, object]:
    """Return what there is to know of the engine, as data."""
    where = state.folders()
    found = running()
    if found is None:
        return {"running": False, "folder": str(where.home)}
    return {
        "running": True,
        "release": found.release,
        "DOCKER_HOST": found.host,
        "registry": found.registry,
        "docker hub": found.hub,
        "emulates": list(seen.foreign) if (seen := state.read(where)) else [],
        "docker": str(found.docker),
        "buildx": str(found.buildx),
        "folder": str(where.home),
        "logs": [str(where.home / "dockerd.log"), str(where.home / "registry.log")],
    }


def _start(where: Folders, announce: Callable[[str], None]) -> Running:
    release, root = _packages(where, announce)
    variables = packages.environment(root)
    kept = state.remembered(where, "registry-port")
    address = f"127.0.0.1:{network.free_port(kept)}"
    seen = Running(release, address, hub=False, daemons={})
    try:
        state.write(where, seen)
        addresses = network.make_bridge(where)
        forward = firewall.open_for(where.bridge, addresses, variables)
        seen = replace(seen, forward=forward)
        state.write(where, seen)
        docker = daemon.start(where, root)
        seen = replace(seen, daemons={"dockerd": docker}, foreign=_foreign())
        state.write(where, seen)
        one = registry.start(where, root, address)
        seen = replace(seen, daemons={"dockerd": docker, "registry": one})
        state.write(where, seen)
        seen = replace(seen, hub=_hub(describe(where, seen)))
        state.write(where, seen)
    except BaseException:
        _clear(where, seen)
        raise
    state.remember(where, "registry-port", address.rpartition(":")[2])
    return seen


def _packages(where: Folders, announce: Callable[[str], None]) -> tuple[str, Path]:
    for release in packages.release_wanted():
        root = packages.unpack(where, release, announce)
        if packages.runs(root):
            return release, root
        announce(f"the engine of Debian {release} does not run on this machine")
    raise EngineError(
        "no engine of Debian runs on this machine: install Docker Engine 26 or newer with buildx"
    )


def _clear(where: Folders, seen: Running | None) -> list[str]:
    """End what runs and put the machine back as it was; works on half of an engine, too."""
    daemons = dict(seen.daemons) if seen else {}
    kept = daemon.containerd(where)
    ended = [f"stopped {name} ({one.pid})" for name, one in daemons.items() if state.alive(one)]
    state.end(daemons.values())
    if kept:
        state.end([kept])
    if seen:
        root = where.root(seen.release)
        forgotten = [name for name in seen.emulated if emulation.disable(name, where.short)]
        ended += [f"ended the emulation of {name}" for name in forgotten]
        addresses = state.remembered(where, "network")
        with contextlib.suppress(ImagesError):
            firewall.close_for(where.bridge, addresses, packages.environment(root))
        if network.remove_bridge(where):
            ended.append(f"removed the bridge {where.bridge}")
        firewall.forward(seen.forward)
    _unmount(where)
    shutil.rmtree(where.run, ignore_errors=True)
    return ended


def _unmount(where: Folders) -> None:
    """Unmount what a killed dockerd left mounted, the innermost first.

    It also mounts the folder of its data upon itself; a disk that the user mounted there is no
    such mount: it shows its root (proc_pid_mountinfo(5)).
    """
    text = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    data = str(where.home / "data")
    ours = []
    for line in text.splitlines():
        root, target = line.split()[3:5]
        inside = target.startswith((f"{where.run}/", f"{data}/"))
        if inside or (target == data and root != "/"):
            ours.append(target)
    for target in sorted(ours, reverse=True):
        process.run(("umount", "--lazy", target), check=False)


def _runs(where: Folders, seen: Running | None, foreign: Sequence[str]) -> bool:
    """Whether dockerd knows these architectures, and the kernel goes on emulating them."""
    return seen is not None and all(
        name in seen.foreign and emulation.lasts(name, where.short) for name in foreign
    )


def _emulate(
    where: Folders, seen: Running, foreign: Sequence[str], announce: Callable[[str], None]
) -> None:
    root = packages.unpack(where, seen.release, announce, emulation=True)
    registered = [name for name in foreign if emulation.enable(root, name, where.short, announce)]
    emulated = tuple(dict.fromkeys([*seen.emulated, *registered]))
    seen = replace(seen, emulated=emulated)
    state.write(where, seen)  # so that stopping takes it back, whatever comes now
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


@contextlib.contextmanager
def _lock(where: Folders) -> Iterator[None]:
    from filelock import FileLock  # noqa: PLC0415 - start-up time

    where.home.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(where.home.with_name(f"{where.home.name}.lock")):
        yield
