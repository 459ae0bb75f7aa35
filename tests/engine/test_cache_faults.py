"""Registries that fail while a cache is read or written: the image is made, and it is said why.

The faults are made by a proxy before the engine's own registry, and only for the cache: the image
goes past it.
"""

from __future__ import annotations

import io
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import specs
from gha_cache import gha_cache
from listening import Heard
from registry_proxy import FOREVER, TOKEN, Proxy, proxied, silent
from suite import Suite, last

from build_tasks import process
from build_tasks.buildx import cache_errors, imagetools, runner
from build_tasks.buildx.attempt import Listener
from build_tasks.buildx.cache_lookup import Lookup
from build_tasks.buildx.toolchain import Client
from build_tasks.engine import stand_ins
from build_tasks.engine.state import EmbeddedEngine
from build_tasks.errors import AuthError, ImagesError, NetworkError, RegistryError
from build_tasks.history.record import BuildRecord, StepKind
from build_tasks.history.vertex import Moment
from build_tasks.model import cache_backends
from build_tasks.model.build import BuildSpec, Output
from build_tasks.model.cache import CachePlan
from build_tasks.model.matrix import Platform

DOCKERFILE = """\
ARG BASE_IMAGE=scratch
FROM ${BASE_IMAGE} AS main
ARG SALT=0
RUN echo $SALT > /one; head -c 100000 /dev/urandom > /two
RUN echo there > /three
"""
MANIFEST = "/manifests/cache$"
LAYER = "/blobs/sha256"
UPLOAD = "/blobs/uploads/"


@dataclass(frozen=True)
class Place:
    """A small build, its engine, and a registry for its cache that fails when it is told to.

    Args:
        client: the way to the engine.
        proxy: before the registry.
        spec: the build; it reads and writes nothing yet.
    """

    client: Client
    proxy: Proxy
    spec: BuildSpec

    @property
    def cache(self) -> str:
        return f"{self.proxy.address}/{self.spec.output.image.partition('/')[2]}:cache"

    def reading(self, *references: str, **changes: Any) -> BuildSpec:
        plan = CachePlan(tuple(map(cache_backends.registry, references or (self.cache,))))
        return specs.change(self.spec, cache=plan, **changes)

    def writing(self, **changes: Any) -> BuildSpec:
        return specs.change(
            self.spec,
            cache=CachePlan(export=cache_backends.registry(self.cache).for_export(())),
            **changes,
        )

    def forget(self) -> None:
        """Let the engine have no cache of its own, and no image whose layers it could take."""
        prune = (*self.client.buildx, "prune", "--all", "--force", "--builder", "default")
        process.run(prune, environment=self.client.environment)
        # The image goes last: removing it waits until what nothing holds any more is gone.
        image = (self.client.docker, "image", "rm", "--force", *self.spec.output.tags)
        process.run(image, environment=self.client.environment)

    def pushed(self, built: BuildRecord) -> bool:
        """Return whether the registry has the image under the digest that was reported."""
        raw = imagetools.inspect(self.client, f"{self.spec.output.image}@{built.digest}")
        return bool(built.digest) and '"mediaType"' in raw


@pytest.fixture
def place(engine: EmbeddedEngine, tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text(DOCKERFILE)
    name = f"{engine.registry}/tests/faults-{secrets.token_hex(4)}"
    environment = {**engine.environment, "BUILDX_CONFIG": str(tmp_path / "buildx")}
    client = Client(str(engine.docker), (str(engine.buildx),), environment, engine)
    base = stand_ins.ensure_python(engine, "3.11", [client.native.architecture], print)
    spec = specs.make(
        dockerfile=tmp_path / "context" / "Dockerfile",
        context=tmp_path / "context",
        platform=Platform.AMD64,
        tags=(f"{name}:latest",),
        arguments=(
            ("BASE_IMAGE", base),
            ("SALT", secrets.token_hex(8)),
        ),
        cache=CachePlan(),
        kind=Output.PUSH,
        metadata=tmp_path / "metadata.json",
        image=name,
    )
    with proxied(engine.registry) as proxy:
        yield Place(client, proxy, spec)


@dataclass(frozen=True)
class Tried:
    """A build that was made while another one was, on the same engine.

    Args:
        spec: the build, with the caches that were left to read.
        built: what came of it.
        word: seconds until something was said of its caches.
        other: seconds that the other build took.
        heard: what the driver told of it.
    """

    spec: BuildSpec
    built: BuildRecord
    word: float
    other: float
    heard: Heard


def looked_up(place: Place, spec: BuildSpec, say: Callable[[str], None] = print) -> BuildSpec:
    """Return a build with the caches that are left to it after they were asked for."""
    lookup = Lookup(place.client, "default", local=True)
    try:
        return lookup.readable(spec, say)
    finally:
        lookup.end()


def other_build(place: Place) -> float:
    """Make another build on the same engine, and return the seconds that it takes."""
    base, _ = place.spec.inputs.arguments
    salt = ("SALT", secrets.token_hex(8))
    metadata = place.spec.run.metadata.with_suffix(".other")
    other = specs.change(place.spec, arguments=(base, salt), kind=Output.NONE, tags=())
    began = time.monotonic()
    runner.build(place.client, specs.change(other, metadata=metadata), Listener())
    return time.monotonic() - began


def tried(place: Place, spec: BuildSpec) -> Tried:
    """Build as the suite does, and make another build at the same time."""
    began, words = time.monotonic(), []
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(other_build, place)
        spec = looked_up(place, spec, lambda _: words.append(time.monotonic() - began))
        heard = Heard()
        built = build(place, spec, heard)
        return Tried(spec, built, words[0] if words else 0.0, other.result(), heard)


@pytest.fixture
def written(place: Place) -> Place:
    """The place, after a build that wrote the cache; the engine has forgotten all."""
    built = runner.build(place.client, place.writing(), Listener())
    assert not cache_errors.export_problem(built)
    assert cache_errors.notes(built, place.writing()) == []
    place.forget()
    return place


def put(text: str) -> cache_backends.Backend:
    """Return the place that a value of --cache-to means."""
    return cache_backends.parse(text, "--cache-to", write=True).for_export(())


def ran(record: BuildRecord) -> list[int]:
    return sorted(step.number for step in record.steps if step.ran)


def build(place: Place, spec: BuildSpec, listener: Listener | None = None) -> BuildRecord:
    built = runner.build(place.client, spec, listener or Listener())
    assert place.pushed(built)
    assert len([s for s in built.steps if s.kind is StepKind.STEP]) >= 2
    return built


def add_a_step(place: Place) -> None:
    """Let the build need the layers that its cache has: a push alone leaves them where they are."""
    place.spec.inputs.dockerfile.write_text(f"{DOCKERFILE}RUN cat /one /three\n")


def test_a_cache_in_order_is_read_without_a_word(written: Place) -> None:
    built = build(written, written.reading())
    assert ran(built) == []
    assert cache_errors.notes(built, written.reading()) == []
    assert built.attempts == 1
    assert built.imports[0].reference == written.cache


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"status": 401}, "401 Unauthorized"),
        ({"status": 429}, "429 Too Many Requests"),
        ({"status": 500}, "500 Internal Server Error"),
    ],
)
def test_a_cache_that_cannot_be_read_is_named_with_the_reason(
    written: Place, fault: dict[str, Any], why: str
) -> None:
    happened = written.proxy.fault(MANIFEST, **fault)
    built = build(written, written.reading())
    assert happened.happened
    assert ran(built) == [2, 3]
    (note,) = cache_errors.notes(built, written.reading())
    assert note.startswith(f"warning: the cache {written.cache} was not read: ")
    assert why in note
    strict = cache_errors.strict(built, written.reading(strict_cache=True))
    assert type(strict) is RegistryError
    assert written.cache in str(strict)
    assert built.digest in str(strict)


def test_a_manifest_that_is_cut_is_a_cache_that_cannot_be_read(written: Place) -> None:
    written.proxy.fault("/manifests/", method="GET", cut=True)
    built = build(written, written.reading())
    assert ran(built) == [2, 3]
    (note,) = cache_errors.notes(built, written.reading())
    assert note == f"warning: the cache {written.cache} was not read: unexpected EOF"


def test_a_cache_that_nobody_has_written_is_said_calmly(place: Place) -> None:
    built = build(place, place.reading())
    assert cache_errors.notes(built, place.reading()) == [
        f"no cache yet: {place.cache} (first build of this branch)"
    ]
    strict = cache_errors.strict(built, place.reading(strict_cache=True))
    assert f"the cache {place.cache} was not read: {place.cache}: not found" in str(strict)


def test_a_first_build_that_writes_the_cache_is_strict_enough(place: Place) -> None:
    spec = place.reading(strict_cache=True)
    spec = replace(
        spec, cache=replace(spec.cache, export=cache_backends.registry(place.cache).for_export(()))
    )
    built = build(place, spec)
    assert not cache_errors.export_problem(built)
    assert cache_errors.notes(built, spec) == [
        f"no cache yet: {place.cache} (first build of this branch), this build writes it"
    ]
    assert cache_errors.strict(built, spec) is None


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 404},
        {"status": 401},
        {"status": 429},
        {"status": 500},
        {"cut": True},
    ],
    ids=lambda fault: "-".join(map(str, fault.values())),
)
def test_a_layer_that_cannot_be_fetched_costs_the_cache_and_not_the_build(
    written: Place, fault: dict[str, Any]
) -> None:
    """The first blob is the cache's own configuration; layers come later."""
    add_a_step(written)
    happened = written.proxy.fault(LAYER, method="GET", after=1, **fault)
    heard = Heard()
    built = build(written, written.reading(), heard)
    assert happened.happened
    assert ran(built) == [2, 3, 4]
    assert built.attempts == 2
    (message,) = heard.messages
    assert message.startswith(f"a layer of the cache {written.cache} could not be fetched (")
    (note,) = cache_errors.notes(built, written.reading())
    assert note.startswith(f"warning: the cache {written.cache} was not read: ")
    assert cache_errors.strict(built, written.reading(strict_cache=True))


@pytest.mark.parametrize(
    "fault",
    [{"status": 404}, {"status": 500}, {"html": True}],
    ids=lambda fault: "-".join(map(str, fault)) + str(fault.get("status", "")),
)
def test_a_base_that_cannot_be_fetched_is_not_told_as_a_cache(
    written: Place, fault: dict[str, Any]
) -> None:
    base = f"{written.spec.output.image}-base"
    arguments = (*written.spec.inputs.arguments[:1], ("SALT", secrets.token_hex(8)))
    made = specs.change(written.spec, tags=(f"{base}:1",), image=base, arguments=arguments)
    runner.build(written.client, made, Listener())
    written.forget()
    moved = f"{written.proxy.address}/{base.partition('/')[2]}:1"
    happened = written.proxy.fault("-base/blobs/sha256", method="GET", after=1, **fault)
    spec = written.reading(arguments=(("BASE_IMAGE", moved), *arguments[1:]))
    heard = Heard()
    with pytest.raises(ImagesError) as caught:
        runner.build(written.client, spec, heard)
    assert happened.happened
    assert heard.messages == []
    assert type(caught.value) in {RegistryError, NetworkError}
    said = f"ci-3.11-amd64: a layer of the base image {moved} could not be fetched: "
    assert str(caught.value).startswith(said)


def test_an_image_is_loaded_though_its_layers_cannot_be_fetched(written: Place) -> None:
    written.proxy.fault(LAYER, method="GET", after=1, status=500)
    spec = written.reading(kind=Output.LOAD)
    built = runner.build(written.client, spec, Listener())
    assert (ran(built), built.attempts) == ([2, 3], 2)
    shown = (written.client.docker, "image", "inspect", spec.output.tags[0])
    assert process.run(shown, environment=written.client.environment).returncode == 0
    (note,) = cache_errors.notes(built, spec)
    assert "500 Internal Server Error" in note


def test_only_the_cache_that_breaks_is_left_out(written: Place, engine: EmbeddedEngine) -> None:
    direct = f"{written.spec.output.image}:cache"
    other = f"{written.spec.output.image}-other:cache"
    spec = written.reading(written.cache, other, direct)
    add_a_step(written)
    written.proxy.fault(LAYER, method="GET", after=1, status=500)
    built = build(written, spec)
    notes = cache_errors.notes(built, spec)
    assert f"no cache yet: {other} (first build of this branch)" in notes
    if built.attempts == 2:  # which of two with the same layers BuildKit asks is its own
        assert any(written.cache in note for note in notes)


def test_what_passes_at_the_second_time_is_no_fault(written: Place) -> None:
    written.proxy.fault(LAYER, method="GET", cut=True, times=1)
    built = build(written, written.reading())
    assert (ran(built), cache_errors.notes(built, written.reading())) == ([], [])


def test_a_registry_that_stalls_is_waited_for(written: Place) -> None:
    stall = written.proxy.fault(MANIFEST, stall=10, times=1)
    built = build(written, written.reading())
    assert stall.happened == 1
    assert (ran(built), cache_errors.notes(built, written.reading())) == ([], [])
    assert built.seconds > 10
    assert built.imports[0].seconds > 9


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"path": UPLOAD, "method": "POST", "status": 404}, "404 Not Found"),
        ({"path": "/blobs/", "method": "POST|HEAD", "status": 401}, "401 Unauthorized"),
        ({"path": UPLOAD, "method": "POST", "status": 429}, "429 Too Many Requests"),
        ({"path": MANIFEST, "method": "PUT", "status": 500}, "500 Internal Server Error"),
        ({"path": UPLOAD, "method": "PUT|PATCH", "cut": True}, "failed to do request: Put"),
    ],
    ids=["404", "401", "429", "500", "cut"],
)
def test_a_cache_that_cannot_be_written_is_named_with_the_reason(
    place: Place, fault: dict[str, Any], why: str
) -> None:
    happened = place.proxy.fault(**fault)
    built = build(place, place.writing())
    assert happened.happened
    assert cache_errors.export_problem(built)
    (note,) = cache_errors.notes(built, place.writing())
    assert note.startswith(f"warning: the cache was not written to {place.cache}: ")
    assert why in note
    strict = cache_errors.strict(built, place.writing(strict_cache=True))
    assert type(strict) is RegistryError
    assert f"the image is built: {built.digest}" in str(strict)


def test_a_registry_that_stalls_is_written_to_all_the_same(place: Place) -> None:
    stall = place.proxy.fault(UPLOAD, method="POST", stall=10, times=1)
    built = build(place, place.writing())
    assert stall.happened == 1
    assert not cache_errors.export_problem(built)
    assert cache_errors.notes(built, place.writing()) == []


@pytest.mark.parametrize("kind", ["gha", "local", "inline"])
def test_a_cache_outside_of_a_registry_is_written_and_read(
    place: Place, kind: str, tmp_path: Path
) -> None:
    """GitHub's service is a stand-in that speaks its first protocol, which buildx still knows."""
    folder = tmp_path / "cache"
    target, source = {
        "gha": ("type=gha,scope=x", "type=gha,scope=x"),
        "local": (f"type=local,dest={folder}", f"type=local,src={folder}"),
        "inline": ("type=inline", f"type=registry,ref={place.spec.output.tags[0]}"),
    }[kind]
    with gha_cache() as service:
        environment = {**place.client.environment, **service.environment}
        place = replace(place, client=replace(place.client, environment=environment))
        writing = specs.change(place.spec, cache=CachePlan(export=put(target)), strict_cache=True)
        built = build(place, writing)
        assert not cache_errors.export_problem(built)
        assert (cache_errors.notes(built, writing), cache_errors.strict(built, writing)) == (
            [],
            None,
        )
        assert bool(service.entries) is (kind == "gha")
        place.forget()
        place_read = cache_backends.parse(source, "--cache-from", write=False)
        reading = specs.change(place.spec, cache=CachePlan((place_read,)), strict_cache=True)
        built = build(place, reading)
    assert ran(built) == []
    assert [use.reference for use in built.imports] == [place_read.reference]
    assert (cache_errors.notes(built, reading), cache_errors.strict(built, reading)) == ([], None)


def test_a_cache_service_that_refuses_is_named(place: Place) -> None:
    with gha_cache() as service:
        service.refuses = True
        environment = {**place.client.environment, **service.environment}
        place = replace(place, client=replace(place.client, environment=environment))
        writing = specs.change(place.spec, cache=CachePlan(export=put("type=gha,scope=x")))
        built = build(place, writing)
    assert cache_errors.export_problem(built)
    (note,) = cache_errors.notes(built, writing)
    assert note.startswith("warning: the cache was not written to type=gha,scope=x,mode=max")
    assert "a fault of the tests" in note


def test_a_pushed_github_actions_cache_ends_well(project: Suite) -> None:
    (project.root / "Dockerfile.ci").write_text(DOCKERFILE)
    push = ("cache.push", "--python", "3.11", "--cache-to", "type=gha,scope={identity}")
    with gha_cache() as service:
        done = project.having(**service.environment).invoke(*push)
        assert done.returncode == 0, done.stderr
        assert "ci-3.11-amd64: wrote type=gha,scope=ci-3.11-amd64" in done.stderr
        assert service.entries
        service.refuses = True
        service.entries.clear()
        done = project.having(**service.environment).invoke(*push)
        assert done.returncode == 4
        assert "the cache was not written to type=gha,scope=ci-3.11-amd64" in last(done.stderr)


NIGHTLY = pytest.mark.nightly
CONFIGURATION = {"path": LAYER, "method": "GET"}  # a cache's list of steps is its first blob
MANIFESTS = {"path": "/manifests/", "method": "GET|HEAD"}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({**CONFIGURATION, "stall": FOREVER}, id="list-stalls"),
        pytest.param({**CONFIGURATION, "drip": 1.0}, id="list-drips", marks=NIGHTLY),
        pytest.param({**CONFIGURATION, "hang": True}, id="list-hangs", marks=NIGHTLY),
        pytest.param({**MANIFESTS, "stall": FOREVER}, id="manifest-stalls", marks=NIGHTLY),
        pytest.param({**MANIFESTS, "drip": 1.0}, id="manifest-drips", marks=NIGHTLY),
        pytest.param({"path": TOKEN, "stall": FOREVER}, id="token-stalls", marks=NIGHTLY),
    ],
)
def test_a_registry_that_never_answers_stops_no_build(
    written: Place, fault: dict[str, Any]
) -> None:
    """BuildKit's scheduler would wait for it, and with it every build on the engine."""
    if fault["path"] == TOKEN:
        written.proxy.guard()
    happened = written.proxy.fault(**fault)
    done = tried(written, written.reading(strict_cache=True))
    assert happened.happened
    assert done.word < 15
    assert done.other < 20
    assert ran(done.built) == [2, 3]
    (note,) = cache_errors.notes(done.built, done.spec)
    assert note == f"warning: the cache {written.cache} was not read: no answer within 8 s"
    strict = cache_errors.strict(done.built, done.spec)
    assert type(strict) is RegistryError
    assert written.cache in str(strict)


@pytest.mark.nightly
def test_a_host_that_only_accepts_connections_stops_no_build(place: Place) -> None:
    with silent() as host:
        done = tried(place, place.reading(f"{host}/a:x", f"{host}/b:x"))
    assert done.word < 15
    assert done.other < 20
    assert len(cache_errors.notes(done.built, done.spec)) == 2


def test_a_cache_that_is_not_there_is_left_out_before_the_build(place: Place) -> None:
    done = tried(place, place.reading())
    assert done.spec.cache.imports == ()
    assert cache_errors.notes(done.built, done.spec) == [
        f"no cache yet: {place.cache} (first build of this branch)"
    ]
    assert Moment.FAILED not in {event.moment for event in done.heard.events}


def test_a_cache_that_is_there_is_left_to_the_build(written: Place) -> None:
    spec = looked_up(written, written.reading())
    assert spec == written.reading()
    assert ran(build(written, spec)) == []


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        pytest.param({**MANIFESTS, "html": True}, "text/html", id="manifest-html"),
        pytest.param(
            {**MANIFESTS, "redirect": True},
            "stopped after 10 redirects",
            id="manifest-redirect",
            marks=NIGHTLY,
        ),
        pytest.param(
            {**MANIFESTS, "reset": True}, "reset by peer", id="manifest-reset", marks=NIGHTLY
        ),
        pytest.param(
            {**MANIFESTS, "length": 10}, "unexpected EOF", id="manifest-long", marks=NIGHTLY
        ),
        pytest.param(
            {**MANIFESTS, "length": -10}, "unexpected end", id="manifest-short", marks=NIGHTLY
        ),
        pytest.param(
            {**MANIFESTS, "digest": f"sha256:{'0' * 64}"},
            "not found",
            id="manifest-digest",
            marks=NIGHTLY,
        ),
        pytest.param(
            {**MANIFESTS, "corrupt": True},
            "invalid character",
            id="manifest-corrupt",
            marks=NIGHTLY,
        ),
        pytest.param({**CONFIGURATION, "reset": True}, "httpReadSeeker", id="list-reset"),
        pytest.param(
            {**CONFIGURATION, "html": True}, "unexpected EOF", id="list-html", marks=NIGHTLY
        ),
        pytest.param(
            {**CONFIGURATION, "redirect": True}, "httpReadSeeker", id="list-redirect", marks=NIGHTLY
        ),
        pytest.param(
            {**CONFIGURATION, "length": -10}, "unexpected EOF", id="list-short", marks=NIGHTLY
        ),
        pytest.param(
            {**CONFIGURATION, "corrupt": True},
            "invalid character",
            id="list-corrupt",
            marks=NIGHTLY,
        ),
    ],
)
def test_a_registry_that_answers_nonsense_is_named_with_the_reason(
    written: Place, fault: dict[str, Any], why: str
) -> None:
    happened = written.proxy.fault(**fault)
    spec = looked_up(written, written.reading(strict_cache=True))
    built = build(written, spec)
    assert happened.happened
    (note,) = cache_errors.notes(built, spec)
    assert note.startswith(f"warning: the cache {written.cache} was not read: ")
    assert why in note
    assert type(cache_errors.strict(built, spec)) is RegistryError


@pytest.mark.parametrize("uses", [1, pytest.param(2, marks=NIGHTLY)])
def test_a_token_that_expires_while_a_cache_is_read_is_named(written: Place, uses: int) -> None:
    written.proxy.guard(uses=uses)
    built = build(written, looked_up(written, written.reading()))
    (note,) = cache_errors.notes(built, written.reading())
    assert note.startswith(f"warning: the cache {written.cache} was not read: ")
    assert "401 Unauthorized" in note


@pytest.mark.parametrize("uses", [1, pytest.param(3, marks=NIGHTLY)])
def test_a_token_that_expires_while_a_cache_is_written_is_named(place: Place, uses: int) -> None:
    place.proxy.guard(uses=uses)
    built = build(place, place.writing())
    (note,) = cache_errors.notes(built, place.writing())
    assert note.startswith(f"warning: the cache was not written to {place.cache}: ")
    assert "401 Unauthorized" in note


UPLOADS = {"path": UPLOAD, "method": "POST|PUT|PATCH"}
PUT_MANIFEST = {"path": "/manifests/", "method": "PUT"}


def pushing(place: Place) -> BuildSpec:
    """Return the build that pushes its image through the proxy."""
    return specs.change(place.spec, tags=(f"{place.proxy.address}/tests/pushed:x",))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param({**UPLOADS, "html": True}, RegistryError, id="upload-html"),
        pytest.param(
            {**UPLOADS, "redirect": True}, RegistryError, id="upload-redirect", marks=NIGHTLY
        ),
        pytest.param({**UPLOADS, "reset": True}, NetworkError, id="upload-reset", marks=NIGHTLY),
        pytest.param(
            {**UPLOADS, "reset": True, "cut": True}, NetworkError, id="upload-cut", marks=NIGHTLY
        ),
        pytest.param({**UPLOADS, "status": 401}, AuthError, id="upload-401"),
        pytest.param({**UPLOADS, "status": 403}, AuthError, id="upload-403", marks=NIGHTLY),
        pytest.param({**UPLOADS, "status": 404}, RegistryError, id="upload-404", marks=NIGHTLY),
        pytest.param({**UPLOADS, "status": 500}, RegistryError, id="upload-500", marks=NIGHTLY),
        pytest.param({**PUT_MANIFEST, "html": True}, RegistryError, id="manifest-html"),
        pytest.param(
            {**PUT_MANIFEST, "redirect": True}, RegistryError, id="manifest-redirect", marks=NIGHTLY
        ),
        pytest.param(
            {**PUT_MANIFEST, "reset": True}, NetworkError, id="manifest-reset", marks=NIGHTLY
        ),
        pytest.param({"path": "", "uses": 1}, AuthError, id="token-expires"),
    ],
)
def test_a_push_that_fails_has_its_class_and_names_the_image(
    place: Place, fault: dict[str, Any], error: type[ImagesError]
) -> None:
    if fault["path"]:
        place.proxy.fault(**fault)
    else:
        place.proxy.guard(uses=fault["uses"])
    spec = pushing(place)
    with pytest.raises(
        error, match=f"^ci-3.11-amd64: failed to push {spec.output.tags[0]}: "
    ) as caught:
        runner.build(place.client, spec, Listener())
    assert type(caught.value) is error


@pytest.mark.parametrize(
    "what", ["push", pytest.param("export", marks=NIGHTLY), pytest.param("layer", marks=NIGHTLY)]
)
def test_a_transfer_that_stalls_for_ever_delays_no_other_build_and_can_be_ended(
    place: Place, what: str
) -> None:
    """Nothing tells a stalled upload from a slow one; BuildKit waits, and so does its build."""
    spec = {"push": pushing(place), "export": place.writing(), "layer": place.reading()}[what]
    if what == "layer":
        runner.build(place.client, place.writing(), Listener())
        place.forget()
        add_a_step(place)
        stalled = place.proxy.fault(LAYER, method="GET", after=1, stall=FOREVER)
    else:
        stalled = place.proxy.fault(**UPLOADS, stall=FOREVER)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(runner.build, place.client, spec, Listener())
        while not stalled.happened:
            assert not waiting.done()
            time.sleep(0.1)
        assert other_build(place) < 20
        assert not waiting.done()
        began = time.monotonic()
        with process.stoppable_threads() as stop:
            stop()
            with pytest.raises((ImagesError, KeyboardInterrupt)):
                waiting.result()
        assert time.monotonic() - began < 10


class Terminal(io.TextIOWrapper):
    """A stderr that is a terminal, and keeps what it is shown."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("progress", ["plain", "auto"])
def test_a_display_of_buildkits_own_hides_no_fault(
    written: Place, progress: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked for is shown untouched; what it leaves open the builder's history says."""
    written.proxy.fault(MANIFEST, status=500)
    written.proxy.fault(UPLOAD, method="POST", status=401)
    spec = written.reading(progress=progress, strict_cache=True)
    export = f"{written.proxy.address}/tests/elsewhere:cache"
    spec = replace(
        spec, cache=replace(spec.cache, export=cache_backends.registry(export).for_export(()))
    )
    shown = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", Terminal(shown, write_through=True))
        built = runner.build(written.client, spec, Heard(takes_events=False))
        text = shown.getvalue()
    assert written.pushed(built)
    read, wrote = cache_errors.notes(built, spec)
    assert read.startswith(f"warning: the cache {written.cache} was not read: unexpected status")
    assert wrote.startswith(f"warning: the cache was not written to {export}: unexpected status")
    assert {"plain": b"#1 [internal]", "auto": b"[+] Building"}[progress] in text
    assert ran(built) == [2, 3]


def test_a_strict_build_fails_after_the_push_and_says_the_digest(
    project: Suite, engine: EmbeddedEngine
) -> None:
    (project.root / "Dockerfile.ci").write_text(DOCKERFILE)
    project = project.having(AIRFLOW_IMAGES_REPOSITORY=f"tests/{secrets.token_hex(4)}")
    build = ("image.build", "--python", "3.11", "--strict-cache")
    done = project.invoke(*build, "--push")
    assert done.returncode == 4
    lines = done.stderr.strip().splitlines()
    assert "no cache yet: " in done.stderr
    pushed = next(line for line in lines if line.startswith("ci-3.11-amd64: pushed "))
    digest = pushed.split()[-1]
    assert digest.startswith("sha256:")
    assert f"(--strict-cache; the image is built: {digest})" in last(done.stderr)
    assert project.invoke(*build, "--push", "--push-cache").returncode == 0
    assert project.invoke(*build, "--push").returncode == 0
    with proxied(engine.registry) as proxy:
        proxy.fault("/manifests/cache-linux-amd64", status=500)
        base = f"{engine.registry}/debian-python:{{python}}"
        elsewhere = ("--registry", proxy.address, "--base-image", base)
        done = project.invoke(*build, *elsewhere)
        assert done.returncode == 4
        assert "was not read: " in last(done.stderr)
        done = project.invoke(*build[:-1], *elsewhere)
        assert done.returncode == 0
        assert "ci-3.11-amd64: warning: the cache " in done.stderr


def test_a_pipe_gets_a_line_a_step_and_a_file_the_rest(project: Suite, cache: Path) -> None:
    text = DOCKERFILE + f"RUN echo said-only-in-the-log {'x' * 300}\n"
    (project.root / "Dockerfile.ci").write_text(text)
    done = project.good("image.build", "--python", "3.11")
    shown = [line for line in done.stderr.splitlines() if line.startswith("#")]
    assert any("[2/4] echo" in line for line in shown)
    assert max(map(len, shown)) <= int(os.environ.get("COLUMNS", "120"))
    assert "\nsaid-only" not in done.stderr
    log = (cache / "logs" / "ci-3.11-amd64.log").read_text()
    assert "said-only-in-the-log xxx" in log
    assert "[internal] load build definition" in log
