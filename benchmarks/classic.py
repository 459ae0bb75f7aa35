"""The engine with its classic image store, for the classic builder.

With the containerd image store that builder cannot begin from a pulled image: restoring a step that
only changes the configuration (ENV, ARG) fails with "failed to read diff archive" (Docker Engine
28). The programs, the machine and the registry stay the same.
"""

from __future__ import annotations

import shutil
from dataclasses import replace

from build_tasks.engine import daemons, processes, state
from build_tasks.engine.folders import engine_folders
from build_tasks.errors import EngineError


def restart() -> None:
    """Restart the running engine's dockerd with the classic store, and with no data.

    Raises:
        EngineError: it does not run, or does not start again.
    """
    folders = engine_folders()
    running = state.read(folders)
    if running is None:
        raise EngineError("the engine does not run")
    processes.terminate([running.daemons["dockerd"]])
    shutil.rmtree(folders.home / "data", ignore_errors=True)
    root = folders.packages(running.release)
    dockerd = daemons.start_dockerd(folders, root, containerd_store=False)
    state.write(folders, replace(running, daemons={**running.daemons, "dockerd": dockerd}))
