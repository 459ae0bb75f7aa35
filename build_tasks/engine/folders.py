"""Paths and names of an embedded engine: each cache folder has an engine of its own."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from build_tasks import paths

#: Emptied by a reboot, with everything that ran.
RUN = Path("/run")


class Folders:
    """The files of one engine."""

    def __init__(self, home: Path) -> None:
        self.home = home
        #: The part of the names of kernel objects that no other engine has.
        self.unique_id = hashlib.sha256(os.fsencode(home)).hexdigest()[:8]
        #: The bridge of the engine's containers (interface names have at most 15 bytes).
        self.bridge = f"afi-{self.unique_id}"
        #: Sockets and process ids: in /run, because a socket's path is at most 107 bytes long.
        self.run = RUN / f"airflow-images-{self.unique_id}"
        self.socket = self.run / "docker.sock"
        #: The lock for starting, stopping and removing the engine.
        self.lock = home.with_name(f"{home.name}.lock")
        #: The lock that every process shares that may push to the registry.
        self.registry_lock = home / "registry.lock"
        #: The registry's storage (distribution's registry/storage/paths.go).
        self.registry = home / "registry/docker/registry/v2"
        #: The new name of `home` while it is being removed.
        self.removed = home.with_name(f"{home.name}.removed")
        #: The folder that only root can read.
        self.private = home / "private"
        #: The configuration folder of docker and buildx for this engine (DOCKER_CONFIG).
        self.docker_config = self.private / "docker"

    def packages(self, release: str) -> Path:
        """Return the folder into which a release's packages are unpacked."""
        return self.home / "packages" / release


def engine_folders() -> Folders:
    """Return the folders of the engine that belongs to the current cache folder."""
    return Folders(paths.cache_folder() / "engine")


def buildx_plugin(packages: Path) -> Path:
    """Return the unpacked buildx plugin; its folder differs between Debian's releases."""
    plugins = packages.glob("usr/lib*/docker/cli-plugins/docker-buildx")
    return next(plugins, packages / "usr/libexec/docker/cli-plugins/docker-buildx")


@contextlib.contextmanager
def machine_lock() -> Iterator[None]:
    """Hold the lock of all engines on this machine, for the settings that they share.

    It locks /run itself, and so leaves no file behind.
    """
    descriptor = os.open(RUN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
