"""What people are shown of builders; buildx and its nodes are stood in for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from build_tasks.builders import describe, drift, nodes, probe, store
from build_tasks.builders.drift import Difference
from build_tasks.builders.nodes import NodeStatus
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import EngineError, ImagesError
from build_tasks.model.builder import Builder, Driver, Node, default_builder

CLIENT = Client("docker", ("docker-buildx",), {"BUILDX_CONFIG": "/c"})
MINE = Builder("mine", nodes=(Node("mine0", "unix:///x", options=(("image", "x:1"),)),))
RUNNING = NodeStatus("mine0", "unix:///x", "running", platforms=("linux/amd64",))


class Builders:
    """What buildx has stored, and what the nodes of builders report."""

    def __init__(self) -> None:
        self.stored: dict[str, Builder] = {}
        self.users: set[str] = set()
        self.reports: dict[str, list[NodeStatus] | ImagesError] = {}
        self.silent: dict[Node, str] = {}

    def read(self, _: Client, name: str, **__: float) -> list[NodeStatus]:
        report = self.reports[name]
        if isinstance(report, ImagesError):
            raise report
        return report


@pytest.fixture
def builders(monkeypatch: pytest.MonkeyPatch) -> Builders:
    known = Builders()
    own = NodeStatus("default", status="running", platforms=("linux/amd64",))
    known.reports["default"] = [own]
    monkeypatch.setattr(store, "of", lambda _, name: known.stored.get(name))
    monkeypatch.setattr(store, "exists", lambda name: name in known.stored.keys() - known.users)
    monkeypatch.setattr(store, "is_users", lambda name: name in known.users)
    monkeypatch.setattr(store, "names", lambda _: sorted(known.users))
    monkeypatch.setattr(store, "suite_names", lambda: sorted(known.stored.keys() - known.users))
    monkeypatch.setattr(nodes, "read", known.read)
    monkeypatch.setattr(probe, "silent_nodes", lambda *_: known.silent)
    monkeypatch.setattr(drift, "read_container", lambda *_: None)
    monkeypatch.setattr(drift, "differences", lambda *_: [])
    return known


def test_every_builder_that_can_be_named_has_a_row(builders: Builders) -> None:
    builders.stored = {"mine": MINE, "theirs": Builder("theirs", "cloud")}
    builders.users = {"theirs"}
    builders.reports |= {"mine": [RUNNING], "theirs": EngineError("no such driver")}
    rows = describe.list_builders(CLIENT, {"planned": default_builder("planned")})
    assert [tuple(row.values()) for row in rows] == [
        ("default", "docker", "the engine", "running", ["linux/amd64"]),
        ("planned", "docker-container", "images.toml", "not created", []),
        ("mine", "docker-container", "the suite", "running", ["linux/amd64"]),
        ("theirs", "cloud", "you", "error: no such driver", []),
    ]


def test_nodes_of_different_states_are_named(builders: Builders) -> None:
    builders.stored = {"mine": MINE}
    other = NodeStatus("mine1", status="error", error="refused")
    builders.reports["mine"] = [RUNNING, other]
    description = describe.describe(CLIENT, "mine", None, {})
    assert description["status"] == "mine0: running; mine1: error refused"


def test_a_builder_that_is_not_created_is_one_line(builders: Builders) -> None:
    with pytest.raises(EngineError, match=r"^builder mine is not created yet: airflow-images "):
        describe.describe(CLIENT, "mine", MINE, {})


def test_a_node_that_hangs_is_described_without_waiting_for_buildx(builders: Builders) -> None:
    builders.stored = {"mine": MINE}
    builders.silent = {MINE.nodes[0]: "nothing came in 7 s"}
    description = describe.describe(CLIENT, "mine", None, {})
    assert description["status"] == "mine0: no answer nothing came in 7 s"


def node(builders: Builders) -> dict[str, Any]:
    builders.stored = {"mine": MINE}
    builders.reports["mine"] = [RUNNING]
    described: Any = describe.describe(CLIENT, "mine", MINE, {})["nodes"]
    assert len(described) == 1
    return dict(described[0])


def test_a_node_is_described_by_its_container(
    builders: Builders, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = ("image", "r/debian-buildkit:1")
    container = Node("mine0", options=(image,), files=(("buildkitd.toml", "gc = true"),))
    monkeypatch.setattr(drift, "read_container", lambda *_: container)
    described = node(builders)
    assert (described["image"], described["stand-in"]) == ("r/debian-buildkit:1", True)
    assert described["configuration"] == "gc = true"
    assert described["volume"] == "buildx_buildkit_mine0_state"
    assert described["options"] == {"image": "x:1"}


def test_a_node_without_a_container_is_described_by_what_is_stored(builders: Builders) -> None:
    described = node(builders)
    assert (described["image"], described["volume"]) == ("", "")
    assert (described["native"], described["configuration"]) == ("linux/amd64", "")


def test_differences_are_described(builders: Builders, monkeypatch: pytest.MonkeyPatch) -> None:
    builders.stored = {"mine": MINE}
    builders.reports["mine"] = [RUNNING]
    monkeypatch.setattr(drift, "differences", lambda *_: [Difference("mine0", "image", "a", "b")])
    description = describe.describe(CLIENT, "mine", MINE, {})
    assert description["differences"] == [
        {"where": "mine0", "what": "image", "wanted": "a", "found": "b"}
    ]
    assert description["folder"] == str(store.suite_folder("mine"))


def test_a_description_is_flattened_without_what_is_empty() -> None:
    nested = {
        "builder": "b",
        "error": "",
        "native": True,
        "stand-in": False,
        "platforms": ["p", "q"],
        "nodes": [{"name": "n", "options": {"image": "i", "path": Path("/x")}, "rules": []}],
    }
    assert describe.flatten(nested) == [
        ("builder", "b"),
        ("native", "yes"),
        ("platforms", "p, q"),
        ("nodes[0].name", "n"),
        ("nodes[0].options.image", "i"),
        ("nodes[0].options.path", "/x"),
    ]


def test_an_engines_own_builder_is_described_by_its_driver(builders: Builders) -> None:
    description = describe.describe(CLIENT, "default", None, {})
    assert (description["driver"], description["from"]) == (Driver.DOCKER, "the engine")
    assert builders.stored == {}
