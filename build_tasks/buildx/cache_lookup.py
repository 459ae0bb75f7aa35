"""Ask registries for the cache references of builds before BuildKit does.

BuildKit's scheduler waits for the registry while it reads a cache's manifest and its list of steps:
one that accepts the connection and never answers stops every build on the engine, and cancelling
the build does not help (BuildKit 0.25, moby 28.5). So a reference is asked for here first, within a
deadline: what is not there, or is not sent in time, is left out of the build.

buildx asks, with the user's credentials and the builder's settings of registries; it fetches what
BuildKit would, both the manifest and the list of steps. Whatever it cannot say is left to BuildKit:
the builder may reach a registry, and trust a certificate, that this machine does not.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from build_tasks import process
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import CommandTimeout, ImagesError
from build_tasks.model.build import BuildSpec
from build_tasks.model.cache_backends import BackendType
from build_tasks.process import Command

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

#: Seconds that a registry has to send a cache's manifest and list of steps.
DEADLINE = 8.0
#: Seconds that a registry has to accept a connection.
CONNECT = 2.0
#: References that are asked for at once: each is a process of about 50 ms of CPU.
AT_ONCE = 8
HTTPS = 443
_TAGGED = re.compile(r"(?P<registry>[^/]+)/[^:@]+:[^:@]+")
_ABSENT = re.compile(r"^ERROR: \S+: not found$", re.MULTILINE)


@dataclass(frozen=True)
class Place:
    """Where builds read caches.

    Args:
        client: the way to buildx.
        builder: the builder whose settings of registries count.
        local: the builder reaches the network as this machine does.
    """

    client: Client
    builder: str
    local: bool


@dataclass(frozen=True)
class Answer:
    """What a registry answered.

    Args:
        reason: why the reference is to be left out of a build; empty if it is not.
        silent: the registry did not answer within the deadline.
    """

    reason: str = ""
    silent: bool = False


def inspect_command(place: Place, reference: str) -> Command:
    """Return the command that fetches a cache's manifest and list of steps."""
    builder = place.client.with_builder(place.builder)
    asked = ("imagetools", "inspect", *builder, "--format", "{{json .Image}}")
    return (*place.client.buildx, *asked, reference)


def ask(place: Place, reference: str) -> Answer:
    """Return what a reference's registry answers.

    Args:
        place: where builds read it.
        reference: the reference.
    """
    environment = place.client.environment
    command = inspect_command(place, reference)
    try:
        ended = process.run(command, environment=environment, timeout=DEADLINE, check=False)
    except CommandTimeout:
        if place.local or _connects(_registry(reference)):
            return Answer(f"no answer within {DEADLINE:g} s", silent=True)
        return Answer(silent=True)  # a firewall may let the builder pass
    except ImagesError:
        return Answer()  # the build itself will say it better
    absent = ended.returncode and _ABSENT.search(ended.stderr)
    return Answer(f"{reference}: not found") if absent else Answer()


class Lookup:
    """Asks for each cache reference of a run once, all of them at the same time.

    Args:
        place: where the builds read caches.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._asked: dict[str, Future[Answer]] = {}
        self._silent: dict[str, Answer] = {}

    def start(self, specs: Iterable[BuildSpec]) -> None:
        """Begin to ask for what builds read; nobody waits for the answers here."""
        for reference in chain.from_iterable(map(_references, specs)):
            if not self._stored(reference):
                self._ask(reference)

    def readable(self, spec: BuildSpec, say: Callable[[str], None]) -> BuildSpec:
        """Return a build without the caches that are not there or are not sent in time.

        Args:
            spec: the build.
            say: is told which registries do not answer.
        """
        self.start([spec])
        reasons = {}
        for reference in _references(spec):
            answer = self._stored(reference) or self._ask(reference).result()
            if answer.reason:
                reasons[reference] = answer.reason
            if answer.reason and answer.silent:
                say(f"warning: the cache {reference} is left out: {answer.reason}")
        return replace(spec, cache=spec.cache.without(reasons)) if reasons else spec

    def end(self) -> None:
        """Ask for nothing more."""
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _stored(self, reference: str) -> Answer | None:
        """Return what the embedded registry's own files say; None for other registries."""
        embedded = self._place.client.embedded
        tagged = _TAGGED.fullmatch(reference)
        if not (embedded and tagged and tagged["registry"] == embedded.registry):
            return None
        from build_tasks.engine import registry  # noqa: PLC0415 - not where Docker runs

        return Answer() if registry.holds(reference) else Answer(f"{reference}: not found")

    def _ask(self, reference: str) -> Future[Answer]:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - start-up time

        with self._lock:
            self._pool = self._pool or ThreadPoolExecutor(AT_ONCE, "caches")
            if reference not in self._asked:
                self._asked[reference] = self._pool.submit(self._answer, reference)
            return self._asked[reference]

    def _answer(self, reference: str) -> Answer:
        """Ask for a reference, unless its registry has kept silent already."""
        name = _registry(reference)
        answer = self._silent.get(name) or ask(self._place, reference)
        if answer.silent:
            self._silent[name] = answer
        return answer


def _references(spec: BuildSpec) -> list[str]:
    """Return the references that a build reads and that a registry can be asked for."""
    return [one.reference for one in spec.cache.imports if one.type is BackendType.REGISTRY]


def _registry(reference: str) -> str:
    """Return host and port of a reference's registry, by the rules of Docker's references."""
    host, slash, _ = reference.partition("/")
    named = slash and (host == "localhost" or "." in host or ":" in host)
    return host if named else "registry-1.docker.io"


def _connects(name: str) -> bool:
    """Return whether a registry accepts a connection from this machine."""
    address = urlsplit(f"//{name}")
    try:
        with socket.create_connection((address.hostname, address.port or HTTPS), CONNECT):
            return True
    except (OSError, ValueError):
        return False
