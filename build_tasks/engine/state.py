"""Where the embedded engine keeps what, and what of it runs.

What has to last (the registry's port, the bridge's network) is kept in the cache folder. What runs
is kept in /run, which a reboot empties with everything that ran, and only once all of it answers:
a start that was killed leaves no such file, and what it started is found by other means.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from build_tasks import paths

#: 2 is the first with a registry that asks for a password; an older engine is started anew.
SCHEMA = 2
#: Seconds that a daemon has between SIGTERM and SIGKILL; dockerd gives containers ten.
GRACE = 20.0
#: The size beyond which the beginning of a daemon's log is removed.
LOG_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Folders:
    """The folders of one engine; another cache folder makes another engine."""

    home: Path

    @property
    def short(self) -> str:
        """A short name that no other engine has, for what the kernel keeps names of."""
        return hashlib.sha256(os.fsencode(self.home)).hexdigest()[:8]

    @property
    def run(self) -> Path:
        """Sockets and process ids: in /run, because a socket's path is at most 107 bytes long."""
        return Path("/run") / f"airflow-images-{self.short}"

    @property
    def lock(self) -> Path:
        """The lock of whoever starts, stops or removes the engine."""
        return self.home.with_name(f"{self.home.name}.lock")

    @property
    def registry_lock(self) -> Path:
        """The lock that whoever may push to the registry shares."""
        return self.home / "registry.lock"

    @property
    def removed(self) -> Path:
        """What is left of `home` while it is removed."""
        return self.home.with_name(f"{self.home.name}.removed")

    @property
    def socket(self) -> Path:
        """The socket of the Docker API."""
        return self.run / "docker.sock"

    @property
    def bridge(self) -> str:
        """The bridge of the engine's containers (a name of at most 15 bytes)."""
        return f"afi-{self.short}"

    def root(self, release: str) -> Path:
        """Return the folder into which a release's packages are unpacked."""
        return self.home / "packages" / release


@dataclass(frozen=True)
class Daemon:
    """A process that was started, known by its start so that a recycled id is never taken for it.

    Args:
        pid: the process id.
        started: when it started, in the kernel's ticks since boot.
    """

    pid: int
    started: int


@dataclass(frozen=True)
class Running:
    """An engine whose daemons answered.

    Args:
        release: the Debian release that the engine is from.
        registry: host and port of the registry.
        hub: whether Docker Hub answered.
        daemons: what runs, by name: `dockerd` and `registry`.
        foreign: architectures that the machine emulated when dockerd was started.
    """

    release: str
    registry: str
    hub: bool
    daemons: dict[str, Daemon]
    foreign: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether both daemons are there, and still are the processes that were started."""
        return {"dockerd", "registry"} <= {*self.daemons} and all(map(alive, self.daemons.values()))


def folders() -> Folders:
    """Return the folders of the engine that belongs to the cache folder."""
    return Folders(paths.cache_folder() / "engine")


def write(where: Folders, running: Running) -> None:
    """Write down what runs."""
    where.run.mkdir(mode=0o711, parents=True, exist_ok=True)
    _replace(where.run / "running.json", {"schema": SCHEMA, **asdict(running)})


def read(where: Folders) -> Running | None:
    """Return the engine that was written down, whether it still runs or not.

    A newer version of the suite may have written it: what this one does not know is ignored. What
    an older one wrote counts as none, and so does what is no such file.
    """
    written = _load(where.run / "running.json")
    try:
        if written["schema"] < SCHEMA:
            return None
        return Running(
            release=str(written["release"]),
            registry=str(written["registry"]),
            hub=bool(written["hub"]),
            daemons={
                str(name): Daemon(int(one["pid"]), int(one["started"]))
                for name, one in written["daemons"].items()
            },
            foreign=tuple(map(str, written.get("foreign", ()))),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def forget(where: Folders) -> None:
    """Remove what was written down, before anything of it ends."""
    (where.run / "running.json").unlink(missing_ok=True)


def trim(log: Path) -> None:
    """Remove the beginning of a daemon's log that has grown too long; the daemon goes on."""
    try:
        if log.stat().st_size <= LOG_BYTES:
            return
        with log.open("r+b") as file:
            file.seek(-LOG_BYTES // 4, os.SEEK_END)
            tail = file.read()
            file.truncate(0)
            file.seek(0)
            file.write(tail.partition(b"\n")[2])
    except OSError:
        return


def remember(where: Folders, name: str, value: str) -> str:
    """Write down what has to last under this name, and return it."""
    path = where.home / "engine.json"
    _replace(path, {**_load(path), "schema": SCHEMA, name: value})
    return value


def remembered(where: Folders, name: str) -> str:
    """Return what was written down to last under this name, or empty text."""
    return str(_load(where.home / "engine.json").get(name, ""))


def daemon(pid: int) -> Daemon:
    """Return a process that runs now."""
    return Daemon(pid, _started(pid))


def alive(one: Daemon) -> bool:
    """Return whether it is still that process, and no zombie."""
    return one.started > 0 and _started(one.pid) == one.started


def end(daemons: Iterable[Daemon], first: signal.Signals = signal.SIGTERM) -> None:
    """End processes: ask them, wait, and then make them.

    Args:
        daemons: the processes.
        first: the signal to begin with.
    """
    left = [one for one in daemons if alive(one)]
    for signum, seconds in ((first, GRACE), (signal.SIGKILL, GRACE)):
        for one in left:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(one.pid, signum)
        deadline = time.monotonic() + seconds
        while left and time.monotonic() < deadline:
            left = [one for one in left if alive(one)]
            time.sleep(0.05)


def _started(pid: int) -> int:
    """Return a process's start, from field 22 of /proc/PID/stat (proc(5)); 0 if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    fields = text.rpartition(")")[2].split()
    return 0 if fields[0] in "ZX" else int(fields[19])


def _load(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _replace(path: Path, content: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    paths.write(path, json.dumps(content, indent=2))
