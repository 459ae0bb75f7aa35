"""What a build asks of its builder before it starts, and what it does not ask."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import specs

from build_tasks.builders import probe
from build_tasks.buildx import verbs
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
        self.inspected: list[bool] = []
        self.probed: list[str] = []
        self.told = ""
        self.booted = ""
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

    def tells(self, *nodes: tuple[str, str, str]) -> str:
        each = "\n".join(
            f"Name: {name}\nStatus: {status}\nPlatforms: {platforms}\n"
            for name, status, platforms in nodes
        )
        return f"Name: farm\n\nNodes:\n{each}"

    def inspect(self, _: Client, name: str, *, boot: bool = False, timeout: float = 0) -> str:
        assert name in {"farm", "default"}
        assert timeout >= 0
        self.inspected.append(boot)
        return self.booted if boot else self.told

    def require(self, *platforms: Platform, builder: str = "farm") -> None:
        specs = [spec(platform, builder) for platform in platforms]
        preflight.require(self.client, specs, announce=self.said.append)


@pytest.fixture
def farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Farm:
    one = Farm(tmp_path)
    monkeypatch.setattr(verbs, "inspect", one.inspect)

    def require(_: Client, __: object, nodes: tuple[object, ...]) -> None:
        one.probed += [node.name for node in nodes]  # type: ignore[attr-defined]  # nodes

    monkeypatch.setattr(probe, "require", require)
    return one


def test_a_build_on_the_machine_asks_nothing(farm: Farm) -> None:
    farm.require(NATIVE, builder="default")
    farm.has("docker-container", ("farm0", "unix:///x", None))
    farm.require(NATIVE)
    assert farm.inspected == []


def test_a_platform_that_a_node_was_set_for_asks_that_node_alone(farm: Farm) -> None:
    farm.has("remote", ("here", "tcp://a:1", NATIVE), ("far", "tcp://b:1", FOREIGN))
    farm.require(FOREIGN)
    assert farm.probed == ["far"]
    farm.require(FOREIGN, NATIVE)
    assert farm.probed[1:] in (["here", "far"], ["far", "here"])
    assert (farm.inspected, farm.said) == ([], [])


def test_the_machines_platform_is_not_taken_for_a_remote_nodes(farm: Farm) -> None:
    farm.has("remote", ("far", "tcp://b:1", None))
    farm.told = farm.tells(("far", "running", f"{FOREIGN}, {NATIVE}"))
    farm.require(NATIVE)
    assert farm.inspected == [False]
    assert farm.said == [
        f"{NATIVE} is emulated by node far of builder farm: what computes takes about ten times "
        "as long as on a machine of its own"
    ]


def test_a_node_that_has_it_natively_and_is_passed_over_is_named(farm: Farm) -> None:
    farm.has("remote", ("a", "tcp://a:1", None), ("b", "tcp://b:1", None))
    farm.told = farm.tells(("a", "running", f"{NATIVE}, {FOREIGN}"), ("b", "running", f"{FOREIGN}"))
    farm.require(FOREIGN)
    assert farm.probed == ["a", "b"]
    assert farm.said[0].endswith("machine of its own; b has it natively: set its platforms")


def test_a_builder_that_does_not_run_is_started_to_say_what_it_can(farm: Farm) -> None:
    farm.has("docker-container", ("farm0", "unix:///x", None))
    farm.told = farm.tells(("farm0", "stopped", ""))
    farm.booted = farm.tells(("farm0", "running", f"{NATIVE}, {FOREIGN}"))
    farm.require(FOREIGN)
    assert farm.inspected == [False, True]
    assert "emulated by node farm0" in farm.said[0]


def test_a_platform_that_nobody_has_says_what_to_do(farm: Farm) -> None:
    farm.told = farm.tells(("default", "running", f"{NATIVE}"))
    with pytest.raises(EngineError, match=f"builder default cannot build for {FOREIGN}: install"):
        farm.require(FOREIGN, builder="default")


def test_a_dead_node_ends_it(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    farm.has("remote", ("far", "tcp://b:1", FOREIGN))

    def dead(*_: object) -> None:
        raise NetworkError("far is dead")

    monkeypatch.setattr(probe, "require", dead)
    with pytest.raises(NetworkError, match="far is dead"):
        farm.require(FOREIGN)


def test_a_builder_that_is_not_there_is_left_to_buildx(farm: Farm) -> None:
    farm.require(NATIVE)
    assert farm.inspected == []
