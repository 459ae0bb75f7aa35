"""Where the embedded engine keeps what, and what of it runs.

What has to last (the registry's port, the bridge's network) is written down in the cache folder;
what runs is written down in /run, which a reboot empties with everything that ran.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from build_tasks import places

SCHEMA = 1
#: Seconds that a daemon has between SIGTERM and SIGKILL; dockerd gives containers ten.
GRACE = 20.0


@dataclass(frozen=True)
class Folders:
    """The folders of one engine; another cache folder makes another engine."""

    home: Path

    @property
    def short(self) -> str:
        """A short name that no other engine has, for what the kernel keeps names of."""
        return hashlib.sha256(str(self.home).encode()).hexdigest()[:8]

    @property
    def run(self) -> Path:
        """Sockets and process ids: in /run, because a socket's path is at most 107 bytes long."""
        return Path("/run") / f"airflow-images-{self.short}"

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
    """What one start of the engine made.

    Args:
        release: the Debian release that the engine is from.
        registry: host and port of the registry.
        hub: whether Docker Hub answered.
        daemons: what runs, by name.
        emulated: architectures whose emulation this engine registered.
        foreign: architectures that the machine emulated when dockerd was started.
        forward: what the machine's forwarding of packets was set to before.
    """

    release: str
    registry: str
    hub: bool
    daemons: dict[str, Daemon]
    emulated: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    forward: str = ""


def folders() -> Folders:
    """Return the folders of the engine that belongs to the cache folder."""
    return Folders(places.cache_folder() / "engine")


def write(where: Folders, running: Running) -> None:
    """Write down what runs."""
    where.run.mkdir(mode=0o711, parents=True, exist_ok=True)
    _replace(where.run / "running.json", {"schema": SCHEMA, **asdict(running)})


def read(where: Folders) -> Running | None:
    """Return what was written down as running, whether it still does or not.

    Another version of the suite may have written it: what it does not say has its default, and
    what this one does not know is passed over, so that its daemons are found and can be stopped.
    """
    written = _load(where.run / "running.json")
    if not written:
        return None
    daemons = written.get("daemons", {})
    return Running(
        release=str(written.get("release", "")),
        registry=str(written.get("registry", "")),
        hub=bool(written.get("hub")),
        daemons={n: Daemon(int(d["pid"]), int(d["started"])) for n, d in daemons.items()},
        emulated=tuple(written.get("emulated", ())),
        foreign=tuple(written.get("foreign", ())),
        forward=str(written.get("forward", "")),
    )


def forget(where: Folders) -> None:
    """Forget what ran."""
    for name in ("running.json", "docker.sock", "docker.pid"):
        (where.run / name).unlink(missing_ok=True)


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


def end(daemons: Iterable[Daemon]) -> None:
    """End processes: ask them, wait, and then make them."""
    left = [one for one in daemons if alive(one)]
    for signum, seconds in ((signal.SIGTERM, GRACE), (signal.SIGKILL, GRACE)):
        for one in left:
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
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _replace(path: Path, content: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    places.write(path, json.dumps(content, indent=2))
