"""The record of a running engine, and what clients need to reach it.

Settings that have to last (the registry's port, the bridge's network) are kept in the cache folder.
The record of what runs is kept in /run, which a reboot empties. It is written only when both
daemons answer: a start that was killed leaves no record, and its processes are found without one.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from build_tasks import paths
from build_tasks.engine import credentials
from build_tasks.engine.folders import Folders, buildx_plugin, engine_folders
from build_tasks.engine.processes import Process
from build_tasks.process import Announce, locks
from build_tasks.text import hints

#: 2 is the first with a registry that asks for a password; an older engine is started anew.
SCHEMA = 2
#: The size of a daemon's log, in bytes, beyond which its beginning is removed.
LOG_BYTES = 16 * 1024 * 1024
#: Variables by which docker reaches another engine than DOCKER_HOST says, or in another way.
_OTHER_ENGINE = re.compile("DOCKER_(API_VERSION|CERT_PATH|CONTEXT|TLS|TLS_VERIFY)")
_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class EngineState:
    """The record of an engine whose daemons, `dockerd` and `registry`, answered."""

    release: str  # of Debian
    registry: str  # host and port
    hub: bool  # whether Docker Hub answered
    daemons: dict[str, Process]
    foreign: tuple[str, ...] = ()  # architectures that were emulated when dockerd started

    @property
    def complete(self) -> bool:
        """Whether both daemons still run."""
        return {"dockerd", "registry"} <= self.daemons.keys() and all(
            daemon.alive for daemon in self.daemons.values()
        )


@dataclass(frozen=True)
class EmbeddedEngine:
    """A running embedded engine, as clients see it."""

    docker: Path
    buildx: Path
    host: str  # DOCKER_HOST
    registry: str  # host and port
    hub: bool  # whether Docker Hub answered when the engine was started
    release: str  # of Debian
    ca_bundle: Path | None  # the machine's, if it has one

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which docker and buildx reach this engine."""
        blanked = {name: "" for name in os.environ if _OTHER_ENGINE.fullmatch(name)}
        return {
            "BUILDX_BUILDER": "default",
            "BUILDX_CONFIG": str(paths.cache_folder() / "buildx"),
            "DOCKER_CONFIG": str(engine_folders().docker_config),
            "DOCKER_HOST": self.host,
            **blanked,
        }


def running() -> EmbeddedEngine | None:
    """Return the engine if both of its daemons run; this starts no program."""
    folders = engine_folders()
    state = read_running(folders)
    return describe(folders, state) if state else None


def describe(folders: Folders, state: EngineState) -> EmbeddedEngine:
    """Return the engine of a record."""
    packages = folders.packages(state.release)
    ca_bundle = Path(os.environ.get("SSL_CERT_FILE") or _CA_BUNDLE)
    return EmbeddedEngine(
        docker=packages / "usr/bin/docker",
        buildx=buildx_plugin(packages),
        host=f"unix://{folders.socket}",
        registry=state.registry,
        hub=state.hub,
        release=state.release,
        ca_bundle=ca_bundle if ca_bundle.is_file() else None,
    )


def attach(engine: EmbeddedEngine, announce: Announce) -> None:
    """Prepare this process for using the engine.

    The registry's lock is shared until this process ends: what it pushes must not be collected
    before it is complete.
    """
    folders = engine_folders()
    locks.share(folders.registry_lock, "frees space in the engine's registry", announce)
    for name in ("dockerd", "registry"):
        trim(folders.home / f"{name}.log")
    credentials.configure(folders, engine.registry, paths.docker_config())


def trim(log: Path) -> None:
    """Remove the beginning of a log that has grown too long; its daemon goes on writing."""
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


def why_not_running() -> str:
    """Return why no engine runs, and what to do, in one line."""
    pid = locks.holder(engine_folders().lock)
    if pid:
        return f"the embedded engine does not run yet: process {pid} is starting or stopping it"
    return f"the embedded engine does not run: start it with: {hints.task('engine.start')}"


def write(folders: Folders, state: EngineState) -> EngineState:
    """Write the record of what runs, and return it."""
    folders.run.mkdir(mode=0o711, parents=True, exist_ok=True)
    text = json.dumps({"schema": SCHEMA, **asdict(state)}, indent=2)
    paths.write(folders.run / "running.json", text)
    return state


def read_running(folders: Folders) -> EngineState | None:
    """Return the recorded engine if both of its daemons run."""
    state = read(folders)
    return state if state and state.complete else None


def read(folders: Folders) -> EngineState | None:
    """Return the recorded engine, whether it still runs or not.

    Fields of a newer version of the suite are ignored. The record of an older version counts as
    none, and so does anything that is no record.
    """
    record = paths.read_json(folders.run / "running.json")
    try:
        if record["schema"] < SCHEMA:
            return None
        return EngineState(
            release=str(record["release"]),
            registry=str(record["registry"]),
            hub=bool(record["hub"]),
            daemons={
                str(name): Process(int(process["pid"]), int(process["started"]))
                for name, process in record["daemons"].items()
            },
            foreign=tuple(map(str, record.get("foreign", ()))),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def clear(folders: Folders) -> None:
    """Remove the record, before the first daemon ends."""
    (folders.run / "running.json").unlink(missing_ok=True)


def save_setting(folders: Folders, name: str, value: str) -> str:
    """Keep a setting for later starts, and return it."""
    file = folders.home / "engine.json"
    content = {**paths.read_json(file), "schema": SCHEMA, name: value}
    paths.write(file, json.dumps(content, indent=2))
    return value


def saved_setting(folders: Folders, name: str) -> str:
    """Return a setting of an earlier start, or empty text."""
    return str(paths.read_json(folders.home / "engine.json").get(name, ""))
