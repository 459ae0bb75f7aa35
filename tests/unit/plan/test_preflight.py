"""What is checked of a builder before a run, and what is not asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import specs

from build_tasks.builders import nodes, probe
from build_tasks.builders.nodes import NodeStatus
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import EngineError, NetworkError
from build_tasks.model.build import BuildSpec, Output
from build_tasks.model.cache import CachePlan
from build_tasks.model.matrix import Platform
from build_tasks.plan import preflight

NATIVE = Client("x", ("x",), {}).native
FOREIGN = next(platform for platform in Platform if platform is not NATIVE)


def spec(platform: Platform, builder: str) -> BuildSpec:
    return specs.make(
        dockerfile=Path("/d"),
        context=Path("/"),
        platform=platform,
        tags=(),
        arguments=(),
        cache=CachePlan(),
        kind=Output.LOAD,
        metadata=Path("/m"),
        builder=builder,
    )


class Farm:
    """A builder with nodes, and what was asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.client = Client(
            "docker", ("buildx",), {"BUILDX_CONFIG": str(folder), "DOCKER_HOST": "unix:///x"}
        )
        self.read_or_started: list[str] = []
        self.probed: list[str] = []
        self.told: list[NodeStatus] = []
        self.booted: list[NodeStatus] = []
        self.said: list[str] = []

    def has(self, driver: str, *nodes: tuple[str, str, Platform | None]) -> None:
        written = [
            {
                "Name": name,
                "Endpoint": endpoint,
                "Platforms": [{"os": "linux", "architecture": one.architecture}] if one else [],
            }
            for name, endpoint, one in nodes
        ]
        (self.folder / "instances").mkdir(exist_ok=True)
        text = json.dumps({"Driver": driver, "Nodes": written})
        (self.folder / "instances" / "farm").write_text(text)

    def tells(self, *nodes: tuple[str, str, tuple[Platform, ...]]) -> list[NodeStatus]:
        return [
            NodeStatus(name, status=status, platforms=tuple(item.value for item in platforms))
            for name, status, platforms in nodes
        ]

    def read(self, _: Client, name: str) -> list[NodeStatus]:
        assert name in {"farm", "default"}
        self.read_or_started.append("read")
        return self.told

    def start(self, _: Client, name: str) -> list[NodeStatus]:
        assert name == "farm"
        self.read_or_started.append("start")
        return self.booted

    def require(self, *platforms: Platform, builder: str = "farm") -> None:
        specs = [spec(platform, builder) for platform in platforms]
        preflight.require(self.client, specs, announce=self.said.append)


@pytest.fixture
def farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Farm:
    one = Farm(tmp_path)
    monkeypatch.setattr(nodes, "read", one.read)
    monkeypatch.setattr(nodes, "start", one.start)

    def require(_: Client, __: object, needed: tuple[object, ...]) -> None:
        one.probed += [node.name for node in needed]  # type: ignore[attr-defined]  # nodes

    monkeypatch.setattr(probe, "require", require)
    return one


def test_native_build_asks_nothing(farm: Farm) -> None:
    farm.require(NATIVE, builder="default")
    farm.has("docker-container", ("farm0", "unix:///x", None))
    farm.require(NATIVE)
    assert farm.read_or_started == []


def test_configured_platform_probes_only_its_node(farm: Farm) -> None:
    farm.has("remote", ("here", "tcp://a:1", NATIVE), ("far", "tcp://b:1", FOREIGN))
    farm.require(FOREIGN)
    assert farm.probed == ["far"]
    farm.require(FOREIGN, NATIVE)
    assert farm.probed[1:] in (["here", "far"], ["far", "here"])
    assert (farm.read_or_started, farm.said) == ([], [])


def test_platform_of_the_host_is_not_that_of_a_remote_node(farm: Farm) -> None:
    farm.has("remote", ("far", "tcp://b:1", None))
    farm.told = farm.tells(("far", "running", (FOREIGN, NATIVE)))
    farm.require(NATIVE)
    assert farm.read_or_started == ["read"]
    assert farm.said == [
        f"{NATIVE} is emulated by node far of builder farm: steps that compute take about ten "
        "times as long as on a native machine"
    ]


def test_unused_native_node_is_named(farm: Farm) -> None:
    farm.has("remote", ("a", "tcp://a:1", None), ("b", "tcp://b:1", None))
    farm.told = farm.tells(("a", "running", (NATIVE, FOREIGN)), ("b", "running", (FOREIGN,)))
    farm.require(FOREIGN)
    assert farm.probed == ["a", "b"]
    assert farm.said[0].endswith("native machine; b is native: set its platforms")


def test_stopped_builder_is_started_to_report_its_platforms(farm: Farm) -> None:
    farm.has("docker-container", ("farm0", "unix:///x", None))
    farm.told = farm.tells(("farm0", "stopped", ()))
    farm.booted = farm.tells(("farm0", "running", (NATIVE, FOREIGN)))
    farm.require(FOREIGN)
    assert farm.read_or_started == ["read", "start"]
    assert "emulated by node farm0" in farm.said[0]


def test_missing_platform_names_a_remedy(farm: Farm) -> None:
    farm.told = farm.tells(("default", "running", (NATIVE,)))
    with pytest.raises(EngineError, match=f"builder default cannot build for {FOREIGN}: install"):
        farm.require(FOREIGN, builder="default")


def test_silent_node_is_an_error(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    farm.has("remote", ("far", "tcp://b:1", FOREIGN))

    def dead(*_: object) -> None:
        raise NetworkError("far is dead")

    monkeypatch.setattr(probe, "require", dead)
    with pytest.raises(NetworkError, match="far is dead"):
        farm.require(FOREIGN)


def test_unknown_builder_is_left_to_buildx(farm: Farm) -> None:
    farm.require(NATIVE)
    assert farm.read_or_started == []
