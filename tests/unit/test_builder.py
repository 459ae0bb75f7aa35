from __future__ import annotations

import pytest

from build_tasks import builder, buildx, places
from build_tasks.client import Client
from build_tasks.errors import EngineError, UsageError

CLIENT = Client("docker", ("docker-buildx",), {})


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    made: list[tuple[object, ...]] = []

    def create(_: Client, name: str, options: tuple[tuple[str, str], ...] = ()) -> None:
        made.append(("create", name, *options))
        instances = places.cache_folder() / "buildx" / "instances"
        instances.mkdir(parents=True, exist_ok=True)
        (instances / name).touch()

    def remove(_: Client, name: str) -> None:
        made.append(("remove", name))
        (places.cache_folder() / "buildx" / "instances" / name).unlink()

    monkeypatch.setattr(buildx, "create", create)
    monkeypatch.setattr(buildx, "remove", remove)
    monkeypatch.setattr(buildx, "inspect", lambda _, name, **how: made.append((name, how)))
    return made


def test_a_builder_is_created_once_and_then_found(calls: list[tuple[object, ...]]) -> None:
    said: list[str] = []
    for _ in range(2):
        builder.ensure(CLIENT, "mine", "ghcr.io", announce=said.append)
    assert calls == [("create", "mine"), ("mine", {"boot": True})]
    assert said == [
        "builder mine is ready: build with it with --builder mine",
        "builder mine exists and runs",
    ]


@pytest.mark.parametrize(
    "registry", ["127.0.0.1:5000", "localhost", "localhost:5000", "[::1]:5000"]
)
def test_a_loopback_registry_needs_the_hosts_network(
    calls: list[tuple[object, ...]], registry: str
) -> None:
    builder.ensure(CLIENT, "mine", registry, announce=print)
    assert calls == [("create", "mine", ("network", "host"))]


@pytest.mark.parametrize("recorded", [True, False])
def test_a_builder_that_failed_to_start_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, calls: list[tuple[object, ...]], *, recorded: bool
) -> None:
    create = buildx.create

    def fail(client: Client, name: str, options: tuple[tuple[str, str], ...] = ()) -> None:
        create(client, name, options=options)
        raise EngineError("no")

    def cannot_remove(*_: object) -> None:
        raise EngineError("no")

    monkeypatch.setattr(buildx, "create", fail)
    if not recorded:
        monkeypatch.setattr(buildx, "remove", cannot_remove)
    with pytest.raises(EngineError):
        builder.ensure(CLIENT, "mine", "ghcr.io", announce=print)
    assert not builder.exists("mine")


def test_an_unknown_builder_is_not_removed(calls: list[tuple[object, ...]]) -> None:
    with pytest.raises(UsageError, match="no builder 'mine' here: there is none"):
        builder.remove(CLIENT, "mine")
    builder.ensure(CLIENT, "other", "ghcr.io", announce=print)
    with pytest.raises(UsageError, match="no builder 'mine' here: there is other"):
        builder.remove(CLIENT, "mine")
    builder.remove(CLIENT, "other")
    assert calls[-1] == ("remove", "other")
