"""Look up cache references in their registries before BuildKit does.

BuildKit's scheduler blocks while it reads the manifest and the config of a cache. A registry that
accepts the connection and never answers blocks every build on the engine, even after the build is
cancelled (BuildKit 0.25, moby 28.5). So each reference is looked up here first, with a timeout. A
cache that is missing or slow is left out of the build.

buildx fetches both the manifest and the config, as BuildKit would. Other errors are left to the
build: the builder may reach a registry, or trust a certificate, that this machine does not.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from build_tasks.buildx import imagetools
from build_tasks.buildx.imagetools import RegistryTimeout
from build_tasks.buildx.toolchain import Client
from build_tasks.engine import registry
from build_tasks.errors import ImagesError, MissingImage
from build_tasks.model.build import BuildSpec
from build_tasks.model.cache_backends import BackendType

#: Seconds for a registry to send the manifest and the config of a cache.
DEADLINE = 8.0
#: Seconds for a registry to accept a connection.
CONNECT = 2.0
#: Concurrent lookups: each is a process of about 50 ms of CPU time.
AT_ONCE = 8
HTTPS = 443
CONFIG = ("--format", "{{json .Image}}")
_TAGGED = re.compile(r"(?P<registry>[^/]+)/[^:@]+:[^:@]+")


@dataclass(frozen=True)
class CacheStatus:
    """Whether a build can read a cache reference.

    Args:
        reason: why it is left out of the build, or "".
        silent: its registry did not answer in time.
    """

    reason: str = ""
    silent: bool = False


def look_up(client: Client, reference: str, builder: str, *, local: bool) -> CacheStatus:
    """Look up a cache reference in its registry, with the registry settings of a builder.

    `local` says whether the builder uses the network of this machine.
    """
    try:
        imagetools.inspect(client, reference, builder, CONFIG, timeout=DEADLINE)
    except MissingImage:
        return CacheStatus(f"{reference}: not found")
    except RegistryTimeout:
        # Only a firewall that lets the builder pass drops the connection from here.
        reachable = local or _accepts_connections(_registry(reference))
        return CacheStatus(f"no answer within {DEADLINE:g} s" if reachable else "", silent=True)
    except ImagesError:
        pass
    return CacheStatus()


class Lookup:
    """Concurrent lookups of the cache references of a run, one per reference.

    Args:
        client: programs and environment.
        builder: the builder that reads the caches.
        local: the builder uses the network of this machine.
    """

    def __init__(self, client: Client, builder: str, *, local: bool) -> None:
        self._client = client
        self._builder = builder
        self._local = local
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(AT_ONCE, "caches")
        self._lookups: dict[str, Future[CacheStatus]] = {}
        self._silent: dict[str, CacheStatus] = {}

    def start(self, specs: Iterable[BuildSpec]) -> None:
        """Start to look up the caches that builds read, without waiting for results."""
        for spec in specs:
            for reference in _references(spec):
                if not self._embedded_status(reference):
                    self._submit(reference)

    def readable(self, spec: BuildSpec, announce: Callable[[str], None]) -> BuildSpec:
        """Return a build without the caches that are missing or too slow."""
        self.start([spec])
        reasons = {}
        for reference in _references(spec):
            status = self._embedded_status(reference) or self._submit(reference).result()
            if status.reason:
                reasons[reference] = status.reason
            if status.reason and status.silent:
                announce(f"warning: the cache {reference} is left out: {status.reason}")
        return replace(spec, cache=spec.cache.without(reasons)) if reasons else spec

    def end(self) -> None:
        """Cancel the lookups that have not started."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _embedded_status(self, reference: str) -> CacheStatus | None:
        """Return the status from the files of the embedded registry; None for other registries."""
        embedded = self._client.embedded
        tagged = _TAGGED.fullmatch(reference)
        if not (embedded and tagged and tagged["registry"] == embedded.registry):
            return None
        return CacheStatus("" if registry.holds(reference) else f"{reference}: not found")

    def _submit(self, reference: str) -> Future[CacheStatus]:
        with self._lock:
            if reference not in self._lookups:
                self._lookups[reference] = self._pool.submit(self._look_up, reference)
            return self._lookups[reference]

    def _look_up(self, reference: str) -> CacheStatus:
        """Look up a reference, unless its registry has timed out already."""
        name = _registry(reference)
        if name not in self._silent:
            status = look_up(self._client, reference, self._builder, local=self._local)
            if not status.silent:
                return status
            self._silent[name] = status
        return self._silent[name]


def _references(spec: BuildSpec) -> list[str]:
    """Return the references of the registry caches that a build reads."""
    return [cache.reference for cache in spec.cache.imports if cache.type is BackendType.REGISTRY]


def _registry(reference: str) -> str:
    """Return host and port of the registry, by Docker's rules for references."""
    host, slash, _ = reference.partition("/")
    is_host = slash and (host == "localhost" or "." in host or ":" in host)
    return host if is_host else "registry-1.docker.io"


def _accepts_connections(name: str) -> bool:
    address = urlsplit(f"//{name}")
    try:
        with socket.create_connection((address.hostname, address.port or HTTPS), CONNECT):
            return True
    except (OSError, ValueError):
        return False
