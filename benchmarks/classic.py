"""The engine with its classic image store, for the classic builder.

With the containerd image store that builder cannot begin from a pulled image: restoring a step that
only changes the configuration (ENV, ARG) fails with "failed to read diff archive" (Docker Engine
28). The programs, the machine and the registry stay the same.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from build_tasks import process
from build_tasks.engine import daemon, packages, ready, state
from build_tasks.errors import EngineError
from build_tasks.process import docker_api


def restart() -> None:
    """Restart the running engine's dockerd with the classic store, and with no data.

    Raises:
        EngineError: it does not run, or does not start again.
    """
    where = state.folders()
    seen = state.read(where)
    if seen is None:
        raise EngineError("the engine does not run")
    state.end([seen.daemons["dockerd"]])
    shutil.rmtree(where.home / "data", ignore_errors=True)
    configuration = where.home / "daemon.json"
    told = json.loads(configuration.read_text(encoding="utf-8"))
    told["features"] = {"containerd-snapshotter": False}
    configuration.write_text(json.dumps(told), encoding="utf-8")
    root = where.root(seen.release)
    command = (str(root / "usr/sbin/dockerd"), "--config-file", str(configuration))
    log = where.home / "dockerd.log"
    variables = packages.daemon_environment(where, root)
    one = state.daemon(process.spawn(command, environment=variables, log=log))
    state.write(where, replace(seen, daemons={**seen.daemons, "dockerd": one}))
    try:
        ready.wait(lambda: state.alive(one), lambda: _answers(where.socket), daemon.START)
    except TimeoutError:
        raise EngineError(f"dockerd does not start with the classic store (see {log})") from None


def _answers(socket: Path) -> bool:
    try:
        docker_api.get(socket, "/_ping", timeout=5)
    except OSError:
        return False
    return True
