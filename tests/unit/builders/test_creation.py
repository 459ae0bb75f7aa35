"""How a builder is made, found, started, created again and removed; buildx is stood in for."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import engines
import pytest

from build_tasks import paths
from build_tasks.builders import creation, desired, drift, nodes, probe, store
from build_tasks.builders.drift import Difference
from build_tasks.builders.nodes import NodeStatus
from build_tasks.buildx import management
from build_tasks.buildx.toolchain import Client
from build_tasks.engine import stand_ins
from build_tasks.errors import EngineError, UsageError
from build_tasks.model.builder import Builder, Driver, Node, default_builder

HERE = Client("docker", ("docker-buildx",), {"BUILDX_CONFIG": "/c"})


class Buildx:
    """Stands in for buildx: keeps builders where the real one keeps them."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.status = self.booted = "running"
        self.broken = ""
        self.endings = 0
        self.errors: list[str] = []

    def create(self, client: Client, builder: Builder, configuration: Path | None) -> None:
        self.calls.append(f"create {builder.name}")
        folder = Path(client.environment["BUILDX_CONFIG"])
        assert not store.exists(builder.name)
        assert configuration is None or configuration.exists()
        (folder / "instances").mkdir()
        entries = [
            {
                "Name": node.name,
                "Endpoint": node.endpoint or "default",
                "DriverOpts": dict(node.options),
            }
            for node in builder.nodes
        ]
        written = json.dumps({"Driver": builder.driver, "Nodes": entries})
        (folder / "instances" / builder.name).write_text(written)
        if self.broken:
            raise EngineError(self.broken)
        if self.endings:
            self.endings -= 1
            raise EngineError("failed to list workers", transient=True)

    def remove(self, client: Client, name: str, *, keep_cache: bool = False) -> None:
        self.calls.append(f"remove {name}{' but its cache' if keep_cache else ''}")
        if self.broken == "for good":
            raise EngineError("no")
        (Path(client.environment["BUILDX_CONFIG"]) / "instances" / name).unlink()

    def bootstrap(self, _: Client, name: str) -> None:
        self.calls.append(f"boot {name}")
        self.status = self.booted

    def read(self, _: Client, name: str, **__: float) -> list[NodeStatus]:
        self.calls.append(f"read {name}")
        if self.status == "running" and self.errors:
            return [NodeStatus(f"{name}0", status="inactive", error=self.errors.pop())]
        return [NodeStatus(f"{name}0", status=self.status)]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Buildx:
    one = Buildx()
    for name in ("create", "remove", "bootstrap"):
        monkeypatch.setattr(management, name, getattr(one, name))
    monkeypatch.setattr(nodes, "read", one.read)
    monkeypatch.setattr(drift, "read_container", lambda *_: None)
    return one


@pytest.fixture
def said() -> list[str]:
    return []


def ensure(said: list[str], builder: Builder, **options: bool) -> list[Difference]:
    return creation.ensure(HERE, builder, announce=said.append, **options)


def test_a_builder_is_created_once_and_then_found(stand_in: Buildx, said: list[str]) -> None:
    for _ in range(2):
        assert ensure(said, default_builder("mine")) == []
    assert stand_in.calls == ["create mine", "read mine"]
    assert said == [
        "builder mine is ready: build with it with --builder mine",
        "builder mine exists and runs",
    ]
    assert store.suite_names() == ["mine"]


def test_a_builder_that_does_not_run_is_started(stand_in: Buildx, said: list[str]) -> None:
    ensure(said, default_builder("mine"))
    stand_in.status = "stopped"
    ensure(said, default_builder("mine"))
    assert stand_in.calls[-3:] == ["read mine", "boot mine", "read mine"]
    assert said[-1] == "builder mine exists and runs"
    stand_in.status = stand_in.booted = "stopped"
    with pytest.raises(EngineError, match="node mine0: it was started but does not run"):
        ensure(said, default_builder("mine"))


@pytest.mark.parametrize("errors", [1, 3, 4])
def test_a_connection_that_ends_while_a_node_starts_is_made_again(
    stand_in: Buildx, said: list[str], monkeypatch: pytest.MonkeyPatch, errors: int
) -> None:
    """Regression: one of fifty processes failed, because the node's answer was cut."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    ensure(said, default_builder("mine"))
    stand_in.errors = ["error reading from server: EOF"] * errors
    with pytest.raises(EngineError, match="EOF") if errors > 3 else contextlib.nullcontext():
        ensure(said, default_builder("mine"))
    assert pauses == [*creation.PAUSES[: errors - 1]]


@pytest.mark.parametrize("broken", ["for now", "for good"])
def test_a_builder_that_failed_to_start_is_forgotten(
    stand_in: Buildx, said: list[str], broken: str
) -> None:
    stand_in.broken = broken
    with pytest.raises(EngineError):
        ensure(said, default_builder("mine"))
    # Whatever cache it found is not its own to remove.
    assert stand_in.calls == ["create mine", "remove mine but its cache"]
    assert not store.exists("mine")
    stand_in.broken = ""
    ensure(said, default_builder("mine"))
    assert store.suite_names() == ["mine"]


@pytest.mark.parametrize(("endings", "works"), [(1, True), (2, True), (3, False)])
def test_a_container_that_was_ending_is_waited_for(
    stand_in: Buildx, said: list[str], monkeypatch: pytest.MonkeyPatch, endings: int, *, works: bool
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    stand_in.endings = endings
    with contextlib.nullcontext() if works else pytest.raises(EngineError):
        ensure(said, default_builder("mine"))
    assert pauses == [2, 10][:endings]
    assert store.exists("mine") is works


def test_what_a_killed_run_left_is_cleared_away(stand_in: Buildx, said: list[str]) -> None:
    aside = paths.builder_folder(".new-mine")
    (aside / "buildx" / "instances").mkdir(parents=True)
    (aside / "buildx" / "instances" / "mine").touch()
    ensure(said, default_builder("mine"))
    assert stand_in.calls == ["remove mine but its cache", "create mine"]
    assert not aside.exists()


def test_a_difference_is_told_and_mended_when_it_is_wished(
    stand_in: Buildx, said: list[str]
) -> None:
    ensure(said, default_builder("mine"))
    other = Builder("mine", nodes=(Node("mine0", options=(("network", "host"),)),))
    difference = Difference("mine0", "network", "host", "not set")
    assert ensure(said, other) == [difference]
    assert stand_in.calls[-1] == "read mine"
    assert ensure(said, other, recreate=True) == []
    assert stand_in.calls[-2:] == ["remove mine but its cache", "create mine"]
    assert said[-1] == "builder mine was recreated, with its cache"
    assert ensure(said, default_builder("mine"), recreate=True, drop_cache=True) == []
    assert stand_in.calls[-2:] == ["remove mine", "create mine"]
    assert said[-1] == "builder mine was recreated, without its cache"
    assert ensure(said, default_builder("mine"), recreate=True) == []
    assert said[-1] == "builder mine exists and runs"


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("driver", "drop", "kept"),
    [
        (Driver.CONTAINER, False, "with its cache"),
        (Driver.CONTAINER, True, "without its cache"),
        (Driver.REMOTE, True, "with its cache, which its nodes keep"),
        (Driver.KUBERNETES, False, "without its cache, which was in its pods"),
    ],
)
def test_recreation_reports_what_happened_to_the_cache(
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    driver: Driver,
    drop: bool,
    kept: str,
) -> None:
    monkeypatch.setattr(probe, "require", lambda *_: None)
    builder = Builder("mine", driver, (Node("mine0", "tcp://x:1"),))
    ensure(said, builder)
    changed = replace(builder, nodes=(Node("mine0", "tcp://x:1", options=(("a", "b"),)),))
    assert ensure(said, changed, recreate=True, drop_cache=drop) == []
    assert said[-1] == f"builder mine was recreated, {kept}"


def test_of_two_that_want_it_anew_one_makes_it(stand_in: Buildx, said: list[str]) -> None:
    ensure(said, default_builder("mine"))
    creation._recreate(HERE, default_builder("mine"), said.append, drop_cache=False)
    assert stand_in.calls == ["create mine"]


def test_who_comes_while_it_is_made_waits_and_finds_it(
    stand_in: Buildx, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    create = stand_in.create

    def slowly(client: Client, builder: Builder, configuration: Path | None) -> None:
        begun.set()
        go_on.wait(10)
        create(client, builder, configuration)

    monkeypatch.setattr(management, "create", slowly)
    first = threading.Thread(target=ensure, args=([], default_builder("mine")))
    first.start()
    assert begun.wait(10)

    def announce(line: str) -> None:
        said.append(line)
        go_on.set()

    creation.ensure(HERE, default_builder("mine"), announce=announce)
    first.join()
    assert said == [
        f"waiting for process {os.getpid()}, which creates builder mine",
        "builder mine exists and runs",
    ]
    assert stand_in.calls == ["create mine", "read mine"]


def test_nodes_that_do_not_answer_are_known_before_anything_is_made(
    stand_in: Buildx, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def require(_: Client, builder: object, needed: tuple[object, ...]) -> None:
        asked.extend(str(node.endpoint) for node in needed)  # type: ignore[attr-defined]  # a node
        assert builder
        raise EngineError("dead")

    monkeypatch.setattr(probe, "require", require)
    with pytest.raises(EngineError, match="dead"):
        ensure(said, Builder("far", Driver.REMOTE, (Node("far0", "tcp://x:1"),)))
    assert asked == ["tcp://x:1"]
    assert stand_in.calls == []


def test_a_builder_of_the_users_own_is_refused(
    stand_in: Buildx, said: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BUILDX_CONFIG", str(tmp_path))
    (tmp_path / "instances").mkdir()
    (tmp_path / "instances" / "team").touch()
    with pytest.raises(UsageError, match=r"--builder: team is your own, in .*, and is used as it"):
        ensure(said, default_builder("team"))
    with pytest.raises(UsageError, match="team is your own: remove it with docker buildx rm"):
        creation.remove(HERE, "team")
    assert stand_in.calls == []


@pytest.mark.parametrize("name", ["Mine", "a_b", "a.b", "9a", "a-"])
def test_a_name_that_buildx_or_docker_would_change_is_refused(said: list[str], name: str) -> None:
    with pytest.raises(UsageError, match=r"^--builder: expected a name of lower-case letters"):
        ensure(said, default_builder(name))


def test_an_engines_own_builder_is_only_looked_at(stand_in: Buildx, said: list[str]) -> None:
    assert ensure(said, Builder("arm", Driver.DOCKER)) == []
    assert stand_in.calls == ["read arm"]
    assert said == ["builder arm is the engine's own: there is nothing to create"]


def test_a_builder_is_removed_with_or_without_its_cache(stand_in: Buildx, said: list[str]) -> None:
    with pytest.raises(UsageError, match="no builder 'mine': choose none"):
        creation.remove(HERE, "mine")
    ensure(said, default_builder("other"))
    with pytest.raises(UsageError, match="no builder 'mine': choose other"):
        creation.remove(HERE, "mine")
    creation.remove(HERE, "other", keep_cache=True)
    assert stand_in.calls[-1] == "remove other but its cache"
    assert store.suite_names() == []
    ensure(said, default_builder("other"))
    creation.remove(HERE, "other")
    assert stand_in.calls[-1] == "remove other"
    with pytest.raises(
        EngineError, match=r"builder other does not exist: airflow-images builder\.create --b"
    ):
        drift.differences(HERE, default_builder("other"))


@pytest.fixture
def embedded() -> Callable[[bool], Client]:
    def client(hub: bool) -> Client:
        engine = engines.make(registry="127.0.0.1:5000", hub=hub)
        return Client("docker", ("docker-buildx",), {}, engine)

    return client


def test_a_stand_in_is_taken_where_the_image_cannot_be_pulled(
    embedded: Callable[[bool], Client], monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.setattr(
        stand_ins, "ensure_buildkit", lambda engine, _: f"made for {engine.release}"
    )
    off = embedded(False)
    made = desired.desired_builder(off, default_builder("a"), "ghcr.io", said.append)
    assert dict(made.nodes[0].options) == {"image": "made for trixie"}
    named = desired.desired_builder(off, default_builder("a"), "ghcr.io")
    assert named.nodes[0].options[0][1].startswith("127.0.0.1:5000/debian-buildkit:trixie-")
    own = Builder("a", nodes=(Node("a0", options=(("image", "mine"),)),))
    assert desired.desired_builder(off, own, "ghcr.io", said.append) == own
    assert desired.desired_builder(
        embedded(True), default_builder("a"), "ghcr.io", said.append
    ) == default_builder("a")


def test_who_cannot_reach_a_loopback_registry_is_said(said: list[str]) -> None:
    far = Builder("a", nodes=(Node("a0"), Node("arm", "ssh://x")))
    desired.desired_builder(HERE, far, "127.0.0.1:5000", said.append)
    cluster = Builder("k", Driver.KUBERNETES, (Node("k0"),))
    desired.desired_builder(HERE, cluster, "127.0.0.1:5000", said.append)
    warning = "warning: 127.0.0.1:5000 is on the loopback interface:"
    assert said == [f"{warning} arm cannot reach it", f"{warning} k cannot reach it"]
    desired.desired_builder(HERE, far, "ghcr.io", said.append)
    assert len(said) == 2
