from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from build_tasks import process
from build_tasks.builders import drift
from build_tasks.builders.drift import Container, Difference
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import CommandError, EngineError
from build_tasks.model.builder import Builder, Driver, Node, default_builder
from build_tasks.model.matrix import Platform
from build_tasks.process import Command, Completed

HERE = Client("docker", ("docker-buildx",), {"BUILDX_CONFIG": "/c"})


def stored(**changes: object) -> Builder:
    node = Node("farm0", "unix:///run/docker.sock", (), (("image", "x:1"), ("network", "host")), ())
    return Builder("farm", "docker-container", (replace(node, **changes),))  # type: ignore[arg-type]  # a test's own


def runs(**options: str) -> Container:
    found = {"image": "x:1", "network": "host", "memory": "0", **options}
    return Container("", found)


WANTED = Builder("farm", nodes=(Node("farm0", options=(("image", "x:1"), ("network", "host"))),))


def differences(
    wanted: Builder, found: Builder, running: Container | None = None, engine: str = ""
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
    found = replace(runs(), configuration="= 3")
    (one,) = differences(WANTED, stored(), found)
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


def test_a_container_is_looked_at_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Command] = []
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("buildkitd.toml")
        member.size = 9
        tar.addfile(member, io.BytesIO(b"gc = true"))

    def run(command: Command, **_: object) -> Completed:
        asked.append(command)
        return Completed(command, 0, json.dumps([SAID]), "")

    @contextmanager
    def reading(command: Command, **_: object) -> Iterator[io.BytesIO]:
        asked.append(command)
        archive.seek(0)
        yield archive

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(process, "reading", reading)
    found = drift.read_container(HERE, "farm0", "ssh://x")
    assert found
    assert (found.options["image"], found.configuration) == ("x:1", "gc = true")
    assert found.options["env.A"] == "1=2"
    assert found.options["restart-policy"] == "unless-stopped"
    assert asked == [
        ("docker", "--host", "ssh://x", "container", "inspect", "buildx_buildkit_farm0"),
        (
            *("docker", "--host", "ssh://x", "cp"),
            *("buildx_buildkit_farm0:/etc/buildkit/buildkitd.toml", "-"),
        ),
    ]

    @contextmanager
    def fails(command: Command, **_: object) -> Iterator[io.BytesIO]:
        if command:
            raise CommandError("docker: Error: Could not find the file /etc/x in container y")
        yield archive

    monkeypatch.setattr(process, "reading", fails)
    found = drift.read_container(HERE, "farm0", "default")
    assert found
    assert found.configuration == ""
    monkeypatch.setattr(process, "run", lambda command, **_: Completed(command, 1, "", "none"))
    assert drift.read_container(HERE, "farm0", "default") is None


@pytest.mark.parametrize(
    ("sent", "failure", "told"),
    [
        (b"", "docker cp: exit status -15", "docker cp: exit status -15"),
        (b"no archive" * 60, "", "buildx_buildkit_farm0: docker sent no archive: "),
    ],
)
def test_a_file_that_docker_broke_off_is_one_line(
    monkeypatch: pytest.MonkeyPatch, sent: bytes, failure: str, told: str
) -> None:
    """A defect once found: docker was killed, and a traceback spoke of an empty archive."""

    @contextmanager
    def reading(_: Command, **__: object) -> Iterator[io.BytesIO]:
        yield io.BytesIO(sent)
        if failure:
            raise CommandError(failure)

    answer = json.dumps([SAID])
    monkeypatch.setattr(process, "run", lambda command, **_: Completed(command, 0, answer, ""))
    monkeypatch.setattr(process, "reading", reading)
    with pytest.raises(CommandError, match=f"^{told}"):
        drift.read_container(HERE, "farm0", "default")
