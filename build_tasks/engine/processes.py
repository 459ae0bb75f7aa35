"""The processes of an engine, found by what no other process has.

Programs of an engine are started with a variable that names the engine's folder. They hand it on
to what they start: containerd, its shims, runc. The processes of a container have variables of
their own; the root of their file system lies in the engine's data. An engine that an older version
of the suite started has no such variable: its programs are known by the files that they were given.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from build_tasks.engine import state
from build_tasks.engine.state import Daemon, Folders

#: The variable; its value is the folder that the process works for.
MARKER = "AIRFLOW_EMBEDDED_ENGINE"
#: What ends what it started when it is asked to end.
_DAEMONS = ("dockerd", "docker-registry")
_PROGRAMS = (*_DAEMONS, "containerd", "containerd-shim")
#: A process may start another one while it is ended.
_ROUNDS = 5
_PROC = Path("/proc")
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Found:
    """A process of the engine.

    Args:
        name: the name of its program, as the kernel keeps it (at most 15 bytes).
        process: its id and start.
    """

    name: str
    process: Daemon

    def __str__(self) -> str:
        return f"{self.name} ({self.process.pid})"


def marker(folder: Path) -> dict[str, str]:
    """Return the variable for a program that works for an engine.

    Args:
        folder: the engine's folder, or the one in it that the program fills.
    """
    return {MARKER: str(folder)}


def find(where: Folders) -> list[Found]:
    """Return what runs of the engine, also in its containers."""
    return _with_descendants({*_marked(where.home), *_given(where), *_contained(where)})


def end(where: Folders) -> list[Found]:
    """End what runs of the engine, and return the daemons among it."""
    daemons = [found for found in find(where) if found.name in _DAEMONS]
    state.end(found.process for found in daemons)
    for _ in range(_ROUNDS):
        left = find(where)
        if not left:
            break
        daemons += [found for found in left if found.name == "containerd"]
        state.end((found.process for found in left), first=signal.SIGKILL)
    return daemons


def end_orphans(folder: Path) -> None:
    """End what works for a folder, whose lock this process holds: its starter was killed."""
    state.end(found.process for found in _with_descendants(_marked(folder)))


def unescaped(text: str) -> str:
    """Return a field of /proc/PID/mountinfo without its octal escapes (proc_pid_mountinfo(5))."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def _marked(folder: Path) -> set[int]:
    """Return the processes that work for a folder or one in it."""
    name = f"{MARKER}=".encode()
    exact = name + os.fsencode(folder)
    found = set()
    for process in _all():
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(one == exact or one.startswith(exact + b"/") for one in variables):
            found.add(int(process.name))
    return found


def _given(where: Folders) -> set[int]:
    """Return the programs of an engine that were given a file in one of the engine's folders."""
    folders = tuple(os.fsencode(folder) + b"/" for folder in (where.home, where.run))
    found = set()
    for process in _all():
        if not _status(process)[0].startswith(_PROGRAMS):
            continue
        try:
            arguments = (process / "cmdline").read_bytes().split(b"\0")[1:]
        except OSError:
            continue
        if any(argument.startswith(folders) for argument in arguments):
            found.add(int(process.name))
    return found


def _contained(where: Folders) -> set[int]:
    """Return the processes whose root file system lies in the engine's data."""
    own = _namespace(_PROC / "self")
    data = {str(where.home / "data"), str((where.home / "data").resolve())}
    found = set()
    for process in _all():
        if _namespace(process) in {own, ""}:
            continue
        try:
            text = (process / "mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            continue
        root = next((line for line in text.splitlines() if line.split()[4] == "/"), "")
        if any(f"{folder}/" in unescaped(root) for folder in data):
            found.add(int(process.name))
    return found


def _with_descendants(pids: set[int]) -> list[Found]:
    """Return these processes and all that they started, but for this one and its ancestors."""
    status = {int(process.name): _status(process) for process in _all()}
    children: dict[int, list[int]] = {}
    for pid, (_, parent, _) in status.items():
        children.setdefault(parent, []).append(pid)
    wanted = [*pids]
    for pid in wanted:
        wanted += [child for child in children.get(pid, []) if child not in wanted]
    spared = _ancestors(os.getpid(), status)
    return [
        Found(status[pid][0], Daemon(pid, status[pid][2]))
        for pid in wanted
        if pid not in spared and pid in status and status[pid][2]
    ]


def _ancestors(pid: int, status: Mapping[int, tuple[str, int, int]]) -> set[int]:
    found = set()
    while pid and pid not in found:
        found.add(pid)
        pid = status.get(pid, ("", 0, 0))[1]
    return found


def _status(process: Path) -> tuple[str, int, int]:
    """Return the name, the parent and the start of a process; a zombie has no start."""
    try:
        text = (process / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "", 0, 0
    name = text.partition("(")[2].rpartition(")")[0]
    fields = text.rpartition(")")[2].split()
    return name, int(fields[1]), 0 if fields[0] in "ZX" else int(fields[19])


def _namespace(process: Path) -> str:
    try:
        return str((process / "ns/mnt").readlink())
    except OSError:
        return ""


def _all() -> Iterable[Path]:
    return _PROC.glob("[0-9]*")
