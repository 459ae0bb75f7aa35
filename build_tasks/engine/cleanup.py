"""Remove what an engine leaves: processes, rules, bridges, emulators, mounts.

Everything is found by names of the engine's own, nothing by what its start noted: a start or a
stop may have been killed at any moment, and the next one finishes the job.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from build_tasks import process
from build_tasks.engine import emulation, firewall, machine, network, packages, processes, state
from build_tasks.engine.state import Folders
from build_tasks.errors import ImagesError


def remove(where: Folders) -> list[str]:
    """End the engine and put the machine back as it was; return a line for each thing that was.

    The caller holds the engine's lock.
    """
    state.forget(where)  # from here on nobody takes what is left for an engine
    removed = [f"stopped {found}" for found in processes.end(where)]
    ended = [name for name in emulation.QEMU if emulation.disable(name, where.short)]
    removed += [f"ended the emulation of {name}" for name in ended]
    variables = packages.environment(packages.unpacked(where))
    for bridge in network.bridges(where):
        with contextlib.suppress(ImagesError):
            firewall.close_for(bridge, variables)
        if network.remove_bridge(bridge):
            removed.append(f"removed the bridge {bridge}")
    machine.restore()
    _unmount(where)
    shutil.rmtree(where.run, ignore_errors=True)
    _remove_purged(where)
    return removed


def purge(where: Folders) -> list[str]:
    """Remove all that the engine keeps; return a line for it.

    The caller holds the engine's lock, and the engine is ended. The folder is renamed before it is
    removed: half of it must not be taken for an engine's.
    """
    if not where.home.exists():
        return []
    try:
        where.home.rename(where.removed)
    except OSError:
        shutil.rmtree(where.home)  # a disk is mounted there
    _remove_purged(where)
    return [f"removed {where.home}"]


def _remove_purged(where: Folders) -> None:
    if where.removed.exists():
        shutil.rmtree(where.removed)


def _unmount(where: Folders) -> None:
    """Unmount what a killed dockerd or mmdebstrap left mounted, the innermost first.

    dockerd also mounts the folder of its data upon itself; a disk that the user mounted there is no
    such mount: it shows its root (proc_pid_mountinfo(5)).
    """
    text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    data = str(where.home / "data")
    inside = tuple(f"{folder}/" for folder in (where.run, data, where.home / "bases"))
    ours = []
    for line in text.splitlines():
        root, target = map(processes.unescaped, line.split()[3:5])
        if target.startswith(inside) or (target == data and root != "/"):
            ours.append(target)
    for target in sorted(ours, reverse=True):
        process.run(("umount", "--lazy", target), check=False)
