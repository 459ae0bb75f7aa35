from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from build_tasks import process
from build_tasks.builders import nodes
from build_tasks.builders.nodes import NodeStatus, Route
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import EngineError
from build_tasks.model.builder import Builder, Node
from build_tasks.model.matrix import Platform
from build_tasks.process import Completed

#: What buildx 0.29 prints for a builder; 0.13 has the older rule, and prints each line twice.
FARM = {
    "Name": "farm",
    "Driver": "remote",
    "Nodes": [
        {
            "Name": "farm0",
            "Endpoint": "tcp://x:1",
            "Status": "running",
            "Version": "v0.25.1",
            "Platforms": ["linux/amd64", "linux/386", "linux/arm64"],
            "GCPolicy": [
                {
                    "all": False,
                    "filter": ["type==source.local"],
                    "keepDuration": 172_830_000_000_000,
                    "reservedSpace": 0,
                    "maxUsedSpace": 512_000_000,
                    "minFreeSpace": 0,
                },
                {"filter": None, "all": True, "keepDuration": 0, "keepBytes": 10},
            ],
        },
        {"Name": "farm1", "Endpoint": "tcp://y:1", "Status": "error", "Err": "connection refused"},
    ],
}


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """A client whose builder `farm` has a platform that was set for its second node."""
    (tmp_path / "instances").mkdir()
    platforms = [{"os": "linux", "architecture": "arm64"}]
    entries = [
        {"Name": "farm0", "Endpoint": "tcp://x:1"},
        {"Name": "farm1", "Endpoint": "tcp://y:1", "Platforms": platforms},
    ]
    text = json.dumps({"Driver": "remote", "Nodes": entries})
    (tmp_path / "instances" / "farm").write_text(text)
    return Client("docker", ("docker-buildx",), {"BUILDX_CONFIG": str(tmp_path)})


def prints(monkeypatch: pytest.MonkeyPatch, *builders: object) -> None:
    text = "\n".join(json.dumps(builder) for builder in builders)
    monkeypatch.setattr(process, "run", lambda command, **_: Completed(command, 0, text, ""))


def test_the_nodes_of_a_builder_are_read(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    prints(monkeypatch, {"Name": "default", "Nodes": None}, FARM, FARM)
    first, second = nodes.read(client, "farm")
    assert (first.endpoint, first.status, first.version) == ("tcp://x:1", "running", "v0.25.1")
    assert (first.platforms, first.native) == (
        ("linux/amd64", "linux/386", "linux/arm64"),
        "linux/amd64",
    )
    assert first.collection == (
        {
            "all": False,
            "filters": ["type==source.local"],
            "keep-duration": "48h0m30s",
            "max-used-space": 512_000_000,
        },
        {"all": True, "filters": [], "keep-duration": "", "keep-bytes": 10},
    )
    assert (second.status, second.error) == ("error", "connection refused")
    assert (second.assigned, second.native) == (("linux/arm64",), "")


def test_a_builder_that_cannot_be_loaded_is_an_error(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    prints(monkeypatch, {"Name": "farm", "Nodes": None, "Err": "no such context"})
    with pytest.raises(EngineError, match=r"^builder farm: no such context$"):
        nodes.read(client, "farm")


def test_a_builder_that_does_not_exist_is_an_error(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    prints(monkeypatch, {"Name": "default", "Nodes": None})
    with pytest.raises(EngineError, match=r"no builder 'nope' found: .*DOCKER_CONTEXT=nope"):
        nodes.read(client, "nope")


@pytest.mark.parametrize("text", ["[]", "x", '{"Name": "farm", "Nodes": [{}]}', "[" * 100_000])
def test_an_answer_that_is_not_json_is_one_line(
    client: Client, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "run", lambda command, **_: Completed(command, 0, text, ""))
    with pytest.raises(EngineError, match=r"^builder farm: buildx does not describe it as JSON$"):
        nodes.read(client, "farm")


@pytest.mark.parametrize(
    ("platforms", "expected"),
    [
        ({"a": ("linux/amd64", "linux/arm64")}, Route("a", native=False)),
        ({"a": ("linux/arm64", "linux/amd64")}, Route("a", native=True)),
        ({"a": ("linux/amd64*", "linux/arm64"), "b": ("linux/arm64*",)}, Route("b", native=True)),
        ({"a": ("linux/amd64*", "linux/386")}, None),
        ({"a": ("linux/amd64*", "linux/arm64")}, Route("a", native=False)),
        ({"a": ("linux/amd64", "linux/arm64"), "b": ("linux/arm64",)}, Route("a", False, "b")),
        ({"a": ("linux/arm64",), "b": ("linux/arm64", "linux/amd64")}, Route("a", native=True)),
        ({"a": ()}, None),
        ({}, None),
    ],
)
def test_the_node_that_buildx_chooses_is_known(
    platforms: dict[str, tuple[str, ...]], expected: Route | None
) -> None:
    """A `*` marks a platform that was set for a node."""
    statuses = [
        NodeStatus(
            name,
            assigned=tuple(item.rstrip("*") for item in items if item.endswith("*")),
            platforms=tuple(item.rstrip("*") for item in items),
        )
        for name, items in platforms.items()
    ]
    assert nodes.route(Platform.ARM64, statuses) == expected


def test_only_the_nodes_that_builds_need_are_required() -> None:
    amd, arm = (
        Node(name, f"tcp://{name}:1", (platform,))
        for name, platform in (("amd", "linux/amd64"), ("arm", "linux/arm64"))
    )
    both = Builder("farm", "remote", (amd, arm))
    assert nodes.required(both, [Platform.AMD64]) == (amd,)
    assert nodes.required(both, [Platform.ARM64, Platform.ARM64]) == (arm,)
    assert nodes.all_assigned(both, [Platform.ARM64, Platform.AMD64])
    free = Builder("farm", "remote", (amd, replace(arm, platforms=())))
    assert nodes.required(free, [Platform.ARM64]) == free.nodes
    assert not nodes.all_assigned(free, [Platform.ARM64])
