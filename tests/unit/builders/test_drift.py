from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from build_tasks import process
from build_tasks.builders import drift
from build_tasks.builders.drift import Difference
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import CommandError, EngineError
from build_tasks.model.builder import Builder, Driver, Node, default_builder
from build_tasks.model.matrix import Platform
from build_tasks.process import Command, Completed

HERE = Client("docker", ("docker-buildx",), {"BUILDX_CONFIG": "/c"})


def stored(**changes: object) -> Builder:
    node = Node("farm0", "unix:///run/docker.sock", (), (("image", "x:1"), ("network", "host")), ())
    return Builder("farm", "docker-container", (replace(node, **changes),))  # type: ignore[arg-type]  # a test's own


def runs(text: str = "", **options: str) -> Node:
    found = {"image": "x:1", "network": "host", "memory": "0", **options}
    return Node("farm0", options=tuple(found.items()), files=(("buildkitd.toml", text),))


WANTED = Builder("farm", nodes=(Node("farm0", options=(("image", "x:1"), ("network", "host"))),))


def differences(
    wanted: Builder, found: Builder, running: Node | None = None, engine: str = ""
) -> list[Difference]:
    client = Client("docker", ("docker-buildx",), {"DOCKER_HOST": engine})
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(drift, "read_container", lambda *_: running)
        return drift.compare(client, wanted, found)


@pytest.mark.parametrize("answer", ["", "{}", "[3]", '[{"Config": {}}]', "[" * 100_000])
def test_an_answer_that_describes_no_container_is_one_line(
    answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "run", lambda command, **_: Completed(command, 0, answer, ""))
    with pytest.raises(EngineError, match="buildx_buildkit_a0: docker's answer does not describe"):
        drift.read_container(Client("docker", ("buildx",), {}), "a0", "default")


def test_a_builder_as_it_is_wanted_has_no_differences() -> None:
    assert differences(WANTED, stored()) == []
    assert differences(WANTED, stored(), runs()) == []
    pinned = runs(image="x:1@sha256:1")
    assert differences(WANTED, stored(), pinned) == []


def test_each_difference_of_what_is_written_down_is_found() -> None:
    assert differences(replace(WANTED, driver=Driver.REMOTE), stored()) == [
        Difference("farm", "driver", "remote", "docker-container")
    ]
    node = Node(
        "farm0",
        "tcp://y:1",
        (Platform.ARM64,),
        (("image", "x:2"), ("network", "host"), ("memory", "4g")),
    )
    wanted = Builder("farm", nodes=(node, Node("farm1")), max_used_space=5)
    found = stored(files=(("buildkitd.toml", "[registry.x]\nhttp = true\n"),))
    extra = Node("old", "tcp://old:1", (), (), ())
    found = replace(found, nodes=(*found.nodes, extra))
    assert differences(wanted, found) == [
        Difference("old", "node", "none", "tcp://old:1"),
        Difference("farm0", "endpoint", "tcp://y:1", "unix:///run/docker.sock"),
        Difference("farm0", "platforms", "linux/arm64", "not set"),
        Difference("farm0", "image", "x:2", "x:1"),
        Difference("farm0", "memory", "4g", "not set"),
        Difference("farm0", "buildkitd.toml: worker.oci.gc", "true", "not set"),
        Difference("farm0", "buildkitd.toml: worker.oci.maxUsedSpace", "5", "not set"),
        Difference("farm0", "buildkitd.toml: registry.x.http", "not set", "true"),
        Difference("farm1", "node", "present", "missing"),
    ]


def test_a_builder_of_another_engine_is_another() -> None:
    found = differences(WANTED, stored(), engine="unix:///run/other.sock")
    assert found == [
        Difference("farm0", "endpoint", "unix:///run/other.sock", "unix:///run/docker.sock")
    ]
    cluster = stored(endpoint="kubernetes:///farm?deployment=farm0&kubeconfig=")
    wanted = replace(WANTED, driver=Driver.KUBERNETES)
    assert differences(wanted, replace(cluster, driver="kubernetes"), engine="unix:///x") == []


@pytest.mark.parametrize(
    ("option", "wanted", "running", "found"),
    [
        ("image", "x:1", {"image": "x:2"}, "x:2"),
        ("network", "host", {"network": "bridge"}, "bridge"),
        ("memory", "4g", {"memory": "1024"}, "1024"),
        ("memory", "4g", {"memory": "4294967296"}, None),
        ("memory", "1024", {"memory": "1024"}, None),
        ("cpu-shares", "512", {"cpu-shares": "0"}, "0"),
        ("env.A", "1", {}, "not set"),
        ("env.A", "1", {"env.A": "2"}, "2"),
        ("default-load", "true", {}, None),
    ],
)
def test_what_runs_may_differ_from_what_is_written_down(
    option: str, wanted: str, running: dict[str, str], found: str | None
) -> None:
    options = {"image": "x:1", "network": "host", option: wanted}
    builder = Builder("farm", nodes=(Node("farm0", options=tuple(options.items())),))
    kept = stored(options=tuple(sorted(options.items())))
    expected = [Difference("farm0", option, wanted, found)] if found else []
    assert differences(builder, kept, runs(**running)) == expected


def test_options_that_nobody_asked_for_are_found_in_what_runs() -> None:
    bare = stored(options=())
    assert differences(default_builder("farm"), bare, runs()) == [
        Difference("farm0", "image", "moby/buildkit", "x:1"),
        Difference("farm0", "network", "not set", "host"),
    ]
    upstream = runs(image="moby/buildkit:buildx-stable-1", network="bridge")
    assert differences(default_builder("farm"), bare, upstream) == []


def test_a_broken_file_in_a_container_is_a_difference() -> None:
    (one,) = differences(WANTED, stored(), runs("= 3"))
    assert one.actual.startswith("not TOML: ")


SAID = {
    "Config": {"Image": "x:1", "Env": ["A=1=2", "PATH=/bin"]},
    "State": {"Status": "running"},
    "HostConfig": {
        "NetworkMode": "host",
        "Memory": 5,
        "RestartPolicy": {"Name": "unless-stopped"},
        "CpusetCpus": "0-1",
    },
}


class Docker:
    """Stands in for process.run: describes a container, and copies its configuration."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, text: str = "", error: str = "") -> None:
        self.text = text
        self.error = error
        self.asked: list[Command] = []
        monkeypatch.setattr(process, "run", self.run)

    def run(self, command: Command, **_: object) -> Completed:
        self.asked.append(command)
        if "cp" not in command:
            return Completed(command, 0, json.dumps([SAID]), "")
        if self.error:
            raise CommandError(self.error)
        Path(command[-1]).write_text(self.text)
        return Completed(command, 0, "", "")


def test_a_container_is_looked_at_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    docker = Docker(monkeypatch, "gc = true")
    found = drift.read_container(HERE, "farm0", "ssh://x")
    assert found
    options = dict(found.options)
    assert (options["image"], found.files) == ("x:1", (("buildkitd.toml", "gc = true"),))
    assert options["env.A"] == "1=2"
    assert options["restart-policy"] == "unless-stopped"
    described, copied = docker.asked
    assert described == (
        *("docker", "--host", "ssh://x", "container", "inspect", "buildx_buildkit_farm0"),
    )
    assert copied[:-1] == (
        *("docker", "--host", "ssh://x", "cp"),
        "buildx_buildkit_farm0:/etc/buildkit/buildkitd.toml",
    )


def test_a_container_without_a_configuration_has_an_empty_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Docker(monkeypatch, error="docker: Error: Could not find the file /etc/x in container y")
    found = drift.read_container(HERE, "farm0", "default")
    assert found
    assert found.files == (("buildkitd.toml", ""),)


def test_a_node_without_a_container_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "run", lambda command, **_: Completed(command, 1, "", "none"))
    assert drift.read_container(HERE, "farm0", "default") is None


def test_a_file_that_docker_broke_off_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect once found: docker was killed, and a traceback spoke of an empty archive."""
    Docker(monkeypatch, error="docker cp: exit status -15")
    with pytest.raises(CommandError, match=r"^docker cp: exit status -15"):
        drift.read_container(HERE, "farm0", "default")
