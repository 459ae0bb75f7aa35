from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from build_tasks.builders import creation, describe, desired, store
from build_tasks.builders.drift import Difference
from build_tasks.commands import builders
from build_tasks.config import loading
from build_tasks.config.options import Options
from build_tasks.errors import EngineError, UsageError
from build_tasks.model.builder import Builder, Driver
from build_tasks.plan import build_host


@pytest.fixture(autouse=True)
def created(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Builder, dict[str, object]]]:
    """The builders that were created, each with how; all of them are as they have to be."""
    done: list[tuple[Builder, dict[str, object]]] = []
    settings = loading.load()
    host = SimpleNamespace(client=None, settings=settings, names=build_host.names(settings))

    def ensure(_: object, builder: Builder, **how: object) -> list[Difference]:
        done.append((builder, {name: value for name, value in how.items() if name != "announce"}))
        return []

    monkeypatch.setattr(build_host, "find", lambda *_, **__: host)
    monkeypatch.setattr(desired, "desired_builder", lambda _, definition, *__: definition)
    monkeypatch.setattr(creation, "ensure", ensure)
    monkeypatch.setattr(store, "is_users", lambda _: False)
    return done


def test_a_dedicated_builder_is_created_where_none_is_named(
    created: list[tuple[Builder, dict[str, object]]],
) -> None:
    builders.create_builder(Options({"recreate": True}))
    ((builder, how),) = created
    assert (builder.name, builder.driver) == ("airflow-images", Driver.CONTAINER)
    assert how == {"recreate": True, "drop_cache": False}
    with pytest.raises(UsageError, match=r"^--drop-cache: only with --recreate$"):
        builders.create_builder(Options({"drop-cache": True}))


def test_a_builder_that_differs_is_an_error_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    difference = Difference("node0", "image", "a", "b")
    monkeypatch.setattr(creation, "ensure", lambda *_, **__: [difference])
    with pytest.raises(EngineError, match=r"--recreate recreates it and keeps its cache$"):
        builders.create_builder(Options({}))
    assert capsys.readouterr().err == f"{difference}\n"


@pytest.mark.parametrize(
    ("name", "exists", "count"), [("own", False, 1), ("own", True, 0), ("default", False, 0)]
)
def test_a_build_creates_the_builder_of_its_settings_once(
    created: list[tuple[Builder, dict[str, object]]],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    exists: bool,
    count: int,
) -> None:
    monkeypatch.setattr(store, "exists", lambda _: exists)
    driver = Driver.DOCKER if name == "default" else Driver.CONTAINER
    defined = {name: Builder(name, driver)}
    settings = SimpleNamespace(builder=name, builder_named=defined.__getitem__)
    names = SimpleNamespace(registry="ghcr.io")
    host = SimpleNamespace(client=None, settings=settings, names=names)
    builders.create_missing(host)  # type: ignore[arg-type]  # all of a host that it uses
    assert len(created) == count


def test_builders_are_listed_and_described(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"builder": "b", "driver": "docker", "status": "s", "platforms": ["p"], "from": "f"}
    monkeypatch.setattr(describe, "list_builders", lambda *_: [row])
    builders.list_builders(Options({}))
    assert capsys.readouterr().out.splitlines()[1].split() == ["b", "docker", "s", "p", "f"]
    wanted: list[object] = []

    def description(_client: object, _name: str, builder: object, _: object) -> dict[str, object]:
        wanted.append(builder)
        return {"x": 1}

    monkeypatch.setattr(describe, "describe", description)
    monkeypatch.setattr(store, "exists", lambda name: name == "mine")
    builders.inspect_builder(Options({"json": True}))
    assert json.loads(capsys.readouterr().out) == {"x": 1}
    builders.inspect_builder(Options({"builder": "mine", "json": True}))
    assert wanted[0] is None  # the engine's own builder has no definition
    assert isinstance(wanted[1], Builder)


def test_the_engines_own_builder_is_not_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[tuple[object, ...]] = []
    monkeypatch.setattr(
        creation, "remove", lambda _, name, *, keep_cache: removed.append((name, keep_cache))
    )
    with pytest.raises(UsageError, match=r"^--builder: name the builder to remove"):
        builders.remove_builder(Options({}))
    builders.remove_builder(Options({"builder": "mine", "keep-cache": True}))
    assert removed == [("mine", True)]
