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
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import urlsplit

from build_tasks.buildx import imagetools
from build_tasks.buildx.classification import registry_host
from build_tasks.buildx.imagetools import RegistryTimeout
from build_tasks.buildx.toolchain import Client
from build_tasks.engine import registry
from build_tasks.errors import ImagesError, MissingImage
from build_tasks.model.build import BuildSpec
from build_tasks.model.cache_backends import BackendType
from build_tasks.process import Announce

#: Seconds for a registry to send the manifest and the config of a cache.
DEADLINE = 8.0
#: Seconds for a registry to accept a connection.
CONNECT = 2.0
#: Concurrent lookups: each is a process of about 50 ms of CPU time.
AT_ONCE = 8
HTTPS = 443
CONFIG = ("--format", "{{json .Image}}")
NO_ANSWER = f"no answer within {DEADLINE:g} s"
_TAGGED = re.compile(r"(?P<registry>[^/]+)/[^:@]+:[^:@]+")


class Lookup:
    """Concurrent lookups of the cache references of a run, one per reference.

    `local` says whether the builder uses the network of this machine.
    """

    def __init__(self, client: Client, builder: str, *, local: bool) -> None:
        self._client = client
        self._builder = builder
        self._local = local
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(AT_ONCE, "caches")
        self._lookups: dict[str, Future[str]] = {}
        self._silent: dict[str, str] = {}

    def start(self, specs: Iterable[BuildSpec]) -> None:
        """Start to look up the caches that builds read, without waiting for results."""
        for spec in specs:
            for reference in _references(spec):
                if not self._is_embedded(reference):
                    self._submit(reference)

    def readable(self, spec: BuildSpec, announce: Announce) -> BuildSpec:
        """Return a build without the caches that are missing or too slow."""
        self.start([spec])
        reasons = {}
        for reference in _references(spec):
            if self._is_embedded(reference):
                reason = "" if registry.holds(reference) else f"{reference}: not found"
            else:
                reason = self._submit(reference).result()
            if reason:
                reasons[reference] = reason
            if reason == NO_ANSWER:
                announce(f"warning: the cache {reference} is left out: {reason}")
        return replace(spec, cache=spec.cache.without(reasons)) if reasons else spec

    def end(self) -> None:
        """Cancel the lookups that have not started."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _is_embedded(self, reference: str) -> bool:
        """Return whether a tag is in the embedded registry, whose files say what it has."""
        embedded = self._client.embedded
        tagged = _TAGGED.fullmatch(reference)
        return bool(embedded and tagged and tagged["registry"] == embedded.registry)

    def _submit(self, reference: str) -> Future[str]:
        with self._lock:
            if reference not in self._lookups:
                self._lookups[reference] = self._pool.submit(self._look_up, reference)
            return self._lookups[reference]

    def _look_up(self, reference: str) -> str:
        """Return why a cache is left out of the build; empty if the build has to read it."""
        name = registry_host(reference) or "registry-1.docker.io"
        if name in self._silent:
            return self._silent[name]
        try:
            imagetools.inspect(self._client, reference, self._builder, CONFIG, timeout=DEADLINE)
        except MissingImage:
            return f"{reference}: not found"
        except RegistryTimeout:
            # Only a firewall that lets the builder pass drops the connection from here.
            reachable = self._local or _accepts_connections(name)
            self._silent[name] = NO_ANSWER if reachable else ""
            return self._silent[name]
        except ImagesError:
            pass
        return ""


def _references(spec: BuildSpec) -> list[str]:
    """Return the references of the registry caches that a build reads."""
    return [cache.reference for cache in spec.cache.imports if cache.type is BackendType.REGISTRY]


def _accepts_connections(name: str) -> bool:
    address = urlsplit(f"//{name}")
    try:
        with socket.create_connection((address.hostname, address.port or HTTPS), CONNECT):
            return True
    except (OSError, ValueError):
        return False
