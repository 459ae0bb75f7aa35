"""Find and end the processes of an engine, however they were started.

The engine's programs get a variable that names the engine's folder, and hand it on to what they
start: containerd, its shims, runc. A container's processes have an environment of their own, but
their root file system lies in the engine's data.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from build_tasks.engine.folders import Folders

#: The variable of the programs of an engine; its value is the folder that they work for.
MARKER = "AIRFLOW_EMBEDDED_ENGINE"
#: Seconds between SIGTERM and SIGKILL; dockerd gives containers ten.
GRACE = 20.0
#: These end their children themselves when they get SIGTERM.
_DAEMONS = ("dockerd", "docker-registry")
#: A process may start another one while it is being ended.
_ROUNDS = 5
_PROC = Path("/proc")
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Process:
    """A process, identified also by its start, because the kernel reuses process ids."""

    pid: int
    started: int  # clock ticks since boot; 0 if the process has ended
    name: str = field(default="", compare=False)  # as the kernel keeps it: at most 15 bytes
    parent: int = field(default=0, compare=False)

    @classmethod
    def of(cls, pid: int) -> Process:
        """Return the process that has this id now (proc_pid_stat(5)); a zombie has ended."""
        before, _, after = _read(pid, "stat").decode(errors="replace").rpartition(")")
        if not before:
            return cls(pid, 0)
        state, parent, *_ = fields = after.split()
        started = 0 if state in "ZX" else int(fields[19])
        return cls(pid, started, before.partition("(")[2], int(parent))

    @property
    def alive(self) -> bool:
        """Whether the process still runs and is no zombie."""
        return self.started > 0 and Process.of(self.pid) == self

    def __str__(self) -> str:
        return f"{self.name} ({self.pid})"


def find(folders: Folders) -> list[Process]:
    """Return the engine's processes, those in its containers, and all their descendants."""
    home, data = folders.home, folders.home / "data"
    return _with_descendants(lambda pid: _is_marked(pid, home) or _is_contained(pid, data))


def end(folders: Folders) -> list[Process]:
    """End the engine's processes, daemons first; return the daemons."""
    daemons = [process for process in find(folders) if process.name in _DAEMONS]
    terminate(daemons)
    for _ in range(_ROUNDS):
        left = find(folders)
        if not left:
            break
        daemons += [process for process in left if process.name == "containerd"]
        terminate(left, first=signal.SIGKILL)
    return daemons


def end_orphans(folder: Path) -> None:
    """End what a killed process started for a folder, whose lock this process holds."""
    terminate(_with_descendants(lambda pid: _is_marked(pid, folder)))


def terminate(processes: Iterable[Process], first: signal.Signals = signal.SIGTERM) -> None:
    """Signal processes, wait until they have ended, and kill those that do not end in time."""
    left = [process for process in processes if process.alive]
    for signum in (first, signal.SIGKILL):
        for process in left:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(process.pid, signum)
        deadline = time.monotonic() + GRACE
        while left and time.monotonic() < deadline:
            time.sleep(0.05)
            left = [process for process in left if process.alive]


def unescape(text: str) -> str:
    """Decode the octal escapes of /proc/PID/mountinfo (proc_pid_mountinfo(5))."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def _is_marked(pid: int, folder: Path) -> bool:
    """Return whether a process works for a folder or one below it."""
    exact = os.fsencode(f"{MARKER}={folder}")
    variables = _read(pid, "environ").split(b"\0")
    return any(text == exact or text.startswith(exact + b"/") for text in variables)


def _is_contained(pid: int, data: Path) -> bool:
    """Return whether a process's root file system lies in the engine's data."""
    try:
        namespaces = {(_PROC / name / "ns/mnt").readlink() for name in ("self", str(pid))}
    except OSError:
        return False
    if len(namespaces) == 1:
        return False
    mounts = os.fsdecode(_read(pid, "mountinfo")).splitlines()
    root = next((unescape(line) for line in mounts if line.split()[4] == "/"), "")
    return any(f"{folder}/" in root for folder in (data, data.resolve()))


def _with_descendants(selects: Callable[[int], bool]) -> list[Process]:
    """Return the processes of selected ids, and all that they started.

    This process and its ancestors are left out.
    """
    table = {
        pid: Process.of(pid) for pid in sorted(int(path.name) for path in _PROC.glob("[0-9]*"))
    }
    pids = [pid for pid in table if selects(pid)]
    for pid in pids:
        children = [child.pid for child in table.values() if child.parent == pid]
        pids += [child for child in children if child not in pids]
    ancestor = os.getpid()
    while ancestor in table:
        ancestor = table.pop(ancestor).parent
    return [table[pid] for pid in pids if pid in table and table[pid].started]


def _read(pid: int, name: str) -> bytes:
    """Return the content of a file in /proc/PID, nothing if the process has ended."""
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""
