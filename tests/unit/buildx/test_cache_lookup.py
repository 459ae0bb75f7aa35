"""Cache lookups, with output recorded from buildx 0.29."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import engines
import pytest
import specs

from build_tasks import process
from build_tasks.buildx import cache_lookup
from build_tasks.buildx.cache_lookup import NO_ANSWER, Lookup
from build_tasks.buildx.toolchain import Client
from build_tasks.engine import registry
from build_tasks.engine.state import EmbeddedEngine
from build_tasks.errors import CommandTimeout, MissingProgram
from build_tasks.model import cache_backends
from build_tasks.model.build import BuildSpec, Output
from build_tasks.model.cache import CachePlan
from build_tasks.model.matrix import Platform
from build_tasks.process import Command, Completed

ONE, TWO, OTHER = "r.example:5000/a/b:cache", "r.example:5000/c:cache", "ghcr.io/a/b:cache"
WARNING = "WARNING: reference for unknown type: application/vnd.buildkit.cacheconfig.v0\n"
EMBEDDED = engines.make(
    docker=Path("/docker"),
    buildx=Path("/buildx"),
    host="unix:///run/d.sock",
    registry="127.0.0.1:5000",
    release="sid",
)


class Registries:
    """Fake buildx: prints or raises the error that is set for a reference."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: Counter[str] = Counter()

    def run(self, command: Command, **_: object) -> Completed:
        reference = command[-1]
        self.asked[reference] += 1
        answer = self.answers.get(reference, "")
        if isinstance(answer, Exception):
            raise answer
        return Completed(command, 1 if answer else 0, "null", f"{WARNING}{answer}\n")


@pytest.fixture
def registries(monkeypatch: pytest.MonkeyPatch) -> Registries:
    made = Registries()
    monkeypatch.setattr(process, "run", made.run)
    return made


@pytest.fixture
def lookup() -> Iterator[Lookup]:
    made = Lookup(client(), "mine", local=True)
    yield made
    made.end()


def client(embedded: EmbeddedEngine | None = None) -> Client:
    return Client("docker", ("buildx",), {}, embedded)


def look_up(reference: str, *, local: bool = True) -> str:
    """Return why a cache is left out."""
    lookup = Lookup(client(), "mine", local=local)
    left_out = lookup.readable(spec(reference), print).cache.left_out
    lookup.end()
    return dict(left_out).get(reference, "")


def spec(*imports: str) -> BuildSpec:
    return specs.make(
        dockerfile=Path("/p/Dockerfile"),
        context=Path("/p"),
        platform=Platform.AMD64,
        tags=(),
        arguments=(),
        cache=CachePlan(
            tuple(cache_backends.parse(one, "--cache-from", write=False) for one in imports)
        ),
        kind=Output.NONE,
        metadata=Path("/m.json"),
    )


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("", ""),
        (f"ERROR: {ONE}: not found", f"{ONE}: not found"),
        ("ERROR: httpReadSeeker: failed open: content at http://r/v2/x not found: not found", ""),
        ("ERROR: unexpected status from HEAD request to http://r/v2/x: 500 Internal", ""),
        ('ERROR: failed to do request: Head "https://r/v2/": lookup r: no such host', ""),
        ('ERROR: failed to do request: Head "https://r/v2/": x509: unknown authority', ""),
        (MissingProgram("cannot start buildx"), ""),
    ],
)
def test_only_a_missing_cache_is_left_out_at_once(
    registries: Registries, error: object, reason: str
) -> None:
    """For other errors the builder may know better: a name, a certificate, a password."""
    registries.answers[ONE] = error
    assert look_up(ONE) == reason


def test_a_cache_of_a_silent_registry_is_left_out(registries: Registries) -> None:
    registries.answers[ONE] = CommandTimeout("no end after 8 s")
    assert look_up(ONE) == NO_ANSWER


def test_a_registry_that_only_the_builder_reaches_is_left_to_it(registries: Registries) -> None:
    """A firewall drops what this machine sends; a registry that hangs accepts the connection."""
    registries.answers[ONE] = CommandTimeout("no end after 8 s")
    assert look_up(ONE, local=False) == ""
    with socket.create_server(("127.0.0.1", 0)) as server:
        hanging = f"127.0.0.1:{server.getsockname()[1]}/a:b"
        registries.answers[hanging] = CommandTimeout("no end after 8 s")
        assert look_up(hanging, local=False) == NO_ANSWER
    strange = "r:x/a:b"
    registries.answers[strange] = CommandTimeout("no end after 8 s")
    assert look_up(strange, local=False) == ""


def test_a_build_reads_the_caches_that_exist(registries: Registries, lookup: Lookup) -> None:
    registries.answers = {
        TWO: f"ERROR: {TWO}: not found",
        OTHER: CommandTimeout("no end after 8 s"),
    }
    told: list[str] = []
    asked = spec(ONE, TWO, OTHER, "type=gha,scope=x")
    lookup.start([asked])
    found = lookup.readable(asked, told.append)
    assert [one.reference for one in found.cache.imports] == [ONE, "type=gha,scope=x"]
    assert found.cache.left_out == ((TWO, f"{TWO}: not found"), (OTHER, NO_ANSWER))
    assert told == [f"warning: the cache {OTHER} is left out: {NO_ANSWER}"]
    assert lookup.readable(spec(ONE), told.append) == spec(ONE)


def test_a_reference_is_looked_up_once_per_batch(registries: Registries, lookup: Lookup) -> None:
    lookup.start([spec(ONE, TWO), spec(ONE)])
    for _ in range(3):
        lookup.readable(spec(ONE, TWO), print)
    assert registries.asked == {ONE: 1, TWO: 1}


def test_a_silent_registry_is_asked_once(
    registries: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_lookup, "AT_ONCE", 1)
    registries.answers[ONE] = CommandTimeout("no end after 8 s")
    lookup = Lookup(client(), "mine", local=True)
    found = lookup.readable(spec(ONE, TWO, OTHER), print)
    assert [one.reference for one in found.cache.imports] == [OTHER]
    assert registries.asked == {ONE: 1, OTHER: 1}
    lookup.end()


def test_references_without_a_host_are_on_docker_hub(
    registries: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_lookup, "AT_ONCE", 1)
    registries.answers["me/a:b"] = CommandTimeout("no end after 8 s")
    lookup = Lookup(client(), "mine", local=True)
    found = lookup.readable(spec("me/a:b", "you/c", "plain"), print)
    assert found.cache.imports == ()
    assert registries.asked == {"me/a:b": 1}
    lookup.end()


def test_references_of_the_embedded_registry_are_looked_up_in_its_files(
    registries: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a reference without a tag starts a process."""
    own = "127.0.0.1:5000/a/b"
    monkeypatch.setattr(registry, "holds", {f"{own}:x": True, f"{own}:y": False}.__getitem__)
    lookup = Lookup(client(EMBEDDED), "mine", local=True)
    asked = spec(f"{own}:x", f"{own}:y")
    lookup.start([asked])
    found = lookup.readable(asked, print)
    assert found.cache.left_out == ((f"{own}:y", f"{own}:y: not found"),)
    assert not registries.asked
    digest = f"{own}@sha256:1"
    lookup.readable(spec(own, digest), print)
    assert registries.asked == {own: 1, digest: 1}
    lookup.end()


def test_other_caches_are_not_looked_up(registries: Registries, lookup: Lookup) -> None:
    assert lookup.readable(spec("type=local,src=/x"), print) == spec("type=local,src=/x")
    assert not registries.asked
