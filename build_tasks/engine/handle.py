"""A running embedded engine: where it is found, and what reaches it.

Apart from what starts it, because every command looks here and few start anything.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from build_tasks import paths
from build_tasks.engine import credentials, state
from build_tasks.engine.state import Folders, Running
from build_tasks.process import locks

#: Variables by which docker reaches another engine than DOCKER_HOST says, or in another way.
_STRAY = (
    "DOCKER_API_VERSION",
    "DOCKER_CERT_PATH",
    "DOCKER_CONTEXT",
    "DOCKER_TLS",
    "DOCKER_TLS_VERIFY",
)
_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class Embedded:
    """A running embedded engine.

    Args:
        docker: the docker CLI.
        buildx: the buildx plugin.
        host: the address of the Docker API.
        registry: host and port of the loopback registry.
        hub: whether Docker Hub answered when the engine was started.
        release: the Debian release that the engine is from.
        ca_bundle: the machine's CA bundle, if it has one.
    """

    docker: Path
    buildx: Path
    host: str
    registry: str
    hub: bool
    release: str
    ca_bundle: Path | None

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which docker and buildx reach this engine."""
        # Left over from another engine, they would lead there, or make this one unreachable.
        stray = {name: "" for name in _STRAY if os.environ.get(name)}
        return {
            "BUILDX_BUILDER": "default",
            "BUILDX_CONFIG": str(paths.cache_folder() / "buildx"),
            "DOCKER_CONFIG": str(credentials.configuration(state.folders())),
            "DOCKER_HOST": self.host,
            **stray,
        }


def running() -> Embedded | None:
    """Return the engine if both of its daemons run; this starts no program and takes no time."""
    where = state.folders()
    seen = state.read(where)
    return describe(where, seen) if seen and seen.complete else None


def absence() -> str:
    """Return why no engine runs, and what to do, in one line."""
    pid = locks.holder(state.folders().lock)
    if pid:
        return f"the embedded engine does not run yet: process {pid} is starting or stopping it"
    return "the embedded engine does not run: start it with: invoke engine.start"


def describe(where: Folders, seen: Running) -> Embedded:
    """Return what is to be known of an engine that was seen running."""
    root = where.root(seen.release)
    bundle = Path(os.environ.get("SSL_CERT_FILE") or _BUNDLE)
    return Embedded(
        docker=root / "usr/bin/docker",
        buildx=plugin(root),
        host=f"unix://{where.socket}",
        registry=seen.registry,
        hub=seen.hub,
        release=seen.release,
        ca_bundle=bundle if bundle.is_file() else None,
    )


def plugin(root: Path) -> Path:
    """Return the buildx plugin; its folder has moved between releases."""
    folders = (root / "usr/libexec/docker/cli-plugins", root / "usr/lib/docker/cli-plugins")
    return next(
        (f / "docker-buildx" for f in folders if (f / "docker-buildx").exists()), folders[0]
    )
