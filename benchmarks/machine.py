"""The machine that a run measures on: what a reader needs to compare, and nothing that names it."""

from __future__ import annotations

import json
import os
import platform
import re
import time
from importlib import metadata
from pathlib import Path

from build_tasks import process
from build_tasks.engine.state import EmbeddedEngine


def describe(engine: EmbeddedEngine) -> dict[str, str]:
    """Return what is to be known of the machine and of the programs that are measured."""
    asked = (str(engine.docker), "version", "--format", "{{json .Server.Version}}")
    version = json.loads(process.run(asked, environment=engine.environment).stdout)
    buildx = process.run((str(engine.buildx), "version")).stdout.split()[1]
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{_memory() / 1e9:.0f} GB",
        "kernel": f"{platform.system()} {re.split(r'[-+]', platform.release())[0]}",
        "engine": f"Docker Engine {version}, containerd image store",
        "buildx": buildx,
        "python": platform.python_version(),
        "invoke": metadata.version("invoke"),
        "nox": metadata.version("nox"),
        "python-on-whales": _version("python-on-whales"),
        "registry": "distribution, on loopback, behind a proxy that counts",
        "network": "packages from the machine's own mirrors",
    }


def _processor() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return found[1].strip() if found else platform.machine()


def _memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
