"""Start the engine's daemons, dockerd and the registry, and wait for them."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from string import Template

from build_tasks import process
from build_tasks.engine import credentials, network, packages, processes, state
from build_tasks.engine.folders import Folders
from build_tasks.engine.processes import Process
from build_tasks.engine.state import EmbeddedEngine
from build_tasks.errors import EngineError
from build_tasks.process import Announce, Command, docker_api
from build_tasks.text.formatting import listed

#: Seconds for a daemon to answer; dockerd took 2 to 5.
START = 60.0
#: Seconds for running builds and containers to end before a restart.
PATIENCE = 3600.0
_CONFIGURATION = Path(__file__).with_name("configuration")


def start_dockerd(folders: Folders, root: Path, *, containerd_store: bool = True) -> Process:
    """Start dockerd, and return it as soon as it answers."""
    folders.run.mkdir(mode=0o711, parents=True, exist_ok=True)
    file = folders.home / "daemon.json"
    _configure(
        file,
        home=folders.home,
        run=folders.run,
        bridge=folders.bridge,
        addresses=state.saved_setting(folders, "addresses"),
        size=network.NETWORK_SIZE,
        store=json.dumps(containerd_store),
        proxy=json.dumps((root / "usr/sbin/docker-proxy").exists()),
    )
    command = (str(root / "usr/sbin/dockerd"), "--config-file", str(file))

    def status() -> int:
        return docker_api.get(folders.socket, "/_ping", timeout=5)[0]

    return _start("dockerd", command, folders, root, status)


def start_registry(folders: Folders, root: Path, address: str) -> Process:
    """Start the registry, and return it as soon as it accepts its own password.

    Another engine's registry may have got the port in between; it refuses this password.
    """
    file = folders.home / "registry.yml"
    _configure(file, home=folders.home, address=address, passwords=credentials.create(folders))
    command = (str(root / "usr/bin/docker-registry"), "serve", str(file))
    headers = {"Authorization": credentials.authorization(folders)}
    return _start("registry", command, folders, root, lambda: _status(address, headers))


def wait_until_idle(folders: Folders, engine: EmbeddedEngine, announce: Announce) -> None:
    """Wait until no build and no container runs, so that dockerd can be restarted."""
    deadline = time.monotonic() + PATIENCE
    announced: list[str] = []
    while running := _running(folders.socket, engine):
        if time.monotonic() > deadline:
            raise EngineError(f"the engine has to restart, but {listed(running)} did not end")
        if running != announced:
            announce(f"waiting for the end of {listed(running)}: the engine has to restart")
            announced = running
        time.sleep(1)


def _start(
    name: str, command: Command, folders: Folders, root: Path, status: Callable[[], int]
) -> Process:
    """Start a daemon, wait until its status is that of success, and end it if it does not start."""
    log = folders.home / f"{name}.log"
    variables = packages.daemon_environment(folders, root)
    daemon = Process.of(process.spawn(command, environment=variables, log=log))
    deadline = time.monotonic() + START
    try:
        while not _succeeds(status):
            if not daemon.alive or time.monotonic() > deadline:
                lines = log.read_text(errors="replace").strip().split("\n")
                reason = lines[-1] or "its log is empty"
                raise EngineError(f"{name} does not start: {reason} (see {log})")
            time.sleep(0.1)
    except BaseException:
        processes.terminate([daemon])
        raise
    return daemon


def _configure(file: Path, **values: object) -> None:
    """Write a daemon's configuration from the template of the same name."""
    template = (_CONFIGURATION / file.name).read_text(encoding="utf-8")
    file.write_text(Template(template).substitute(values), encoding="utf-8")


def _succeeds(status: Callable[[], int]) -> bool:
    try:
        return status() == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False


def _status(address: str, headers: dict[str, str]) -> int:
    with contextlib.closing(http.client.HTTPConnection(address, timeout=5)) as connection:
        connection.request("GET", "/v2/", headers=headers)
        return connection.getresponse().status


def _running(socket: Path, engine: EmbeddedEngine) -> list[str]:
    """Return the containers that run, and whether a build does."""
    try:
        _, containers = docker_api.get(socket, "/v1.44/containers/json", timeout=PATIENCE)
        _, usage = docker_api.get(socket, "/v1.44/system/df?type=build-cache", timeout=PATIENCE)
    except OSError:
        return []  # a dockerd that does not answer builds nothing
    listing = containers if isinstance(containers, list) else []
    names = [f"container {item['Names'][0].removeprefix('/')}" for item in listing]
    cache = usage.get("BuildCache") if isinstance(usage, dict) else None
    # A build holds cache records; those of one that lost its files stay held when it has failed.
    held = any(record["InUse"] for record in cache or [])
    return ["a build"] * (held and _builds(engine)) + sorted(names)


def _builds(engine: EmbeddedEngine) -> bool:
    """Return whether a build runs, which an old buildx cannot say (before 0.20)."""
    command = (str(engine.buildx), "history", "ls", "--format", "{{.Status}}")
    done = process.run(command, environment=engine.environment, timeout=START, check=False)
    return done.returncode != 0 or "Running" in done.stdout.split()
