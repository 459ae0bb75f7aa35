"""Docker Engine, with BuildKit and the containerd image store, private to one folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from build_tasks import process
from build_tasks.engine import packages, ready, state
from build_tasks.engine.state import Daemon, Folders
from build_tasks.errors import EngineError
from build_tasks.process import docker_api

#: Seconds until the engine has to answer; 2 to 5 were seen.
START = 60.0
#: Seconds that what runs has to end before a restart.
PATIENCE = 3600.0


def start(where: Folders, root: Path) -> Daemon:
    """Start dockerd and return it as soon as it answers.

    Args:
        where: the engine's folders.
        root: the folder with the unpacked packages.

    Raises:
        EngineError: it ended, or does not answer; the message has its last word.
    """
    where.run.mkdir(mode=0o711, parents=True, exist_ok=True)
    configuration = where.home / "daemon.json"
    configuration.write_text(json.dumps(_configuration(where), indent=2), encoding="utf-8")
    log = where.home / "dockerd.log"
    command = (str(root / "usr/sbin/dockerd"), "--config-file", str(configuration))
    variables = packages.daemon_environment(where, root)
    one = state.daemon(process.spawn(command, environment=variables, log=log))
    try:
        ready.wait(lambda: state.alive(one), lambda: _answers(where.socket), START)
    except BaseException as error:
        state.end([one])
        if isinstance(error, TimeoutError):
            raise EngineError(f"dockerd does not start: {_last_word(log)} (see {log})") from None
        raise
    return one


def wait_until_idle(where: Folders, announce: Callable[[str], None]) -> None:
    """Wait until no build and no container runs on the engine, so that it can be restarted.

    Args:
        where: the engine's folders.
        announce: is told that there is something to wait for.

    Raises:
        EngineError: it never ends.
    """
    deadline = time.monotonic() + PATIENCE
    told = False
    while _busy(where.socket):
        if not told:
            announce("waiting for builds and containers to end: the engine has to restart")
            told = True
        if time.monotonic() > deadline:
            raise EngineError("the engine has to restart, and something runs on it for ever")
        time.sleep(1)


def _configuration(where: Folders) -> dict[str, object]:
    return {
        "features": {"containerd-snapshotter": True},
        "data-root": str(where.home / "data"),
        "exec-root": str(where.run / "exec"),
        "pidfile": str(where.run / "docker.pid"),
        "hosts": [f"unix://{where.socket}"],
        "bridge": where.bridge,
        "iptables": False,  # engine/firewall.py says why
        "ip6tables": False,
        "insecure-registries": ["127.0.0.0/8"],
        "userland-proxy": False,
    }


def _answers(path: Path) -> bool:
    try:
        status, _ = docker_api.get(path, "/_ping", timeout=5)
    except OSError:
        return False
    return status == HTTPStatus.OK


def _busy(path: Path) -> bool:
    """Whether something runs: a container, or a build, which holds records of the cache."""
    try:
        _, containers = docker_api.get(path, "/v1.44/containers/json", timeout=PATIENCE)
        _, usage = docker_api.get(path, "/v1.44/system/df?type=build-cache", timeout=PATIENCE)
    except OSError:
        return False  # a dockerd that does not answer builds nothing
    cache = usage.get("BuildCache") if isinstance(usage, dict) else None
    return bool(containers) or any(record["InUse"] for record in cache or [])


def _last_word(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
