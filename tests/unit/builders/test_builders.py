"""What is known of builders: written down by buildx, told by it, run in a container; routes."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from build_tasks import process
from build_tasks.builders import configuration, container, drift, inspection, routing, store
from build_tasks.builders.container import Container
from build_tasks.builders.drift import Difference
from build_tasks.builders.routing import Route
from build_tasks.builders.store import Stored, StoredNode
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import CommandError, EngineError
from build_tasks.model.builder import Builder, Driver, Node, default_builder
from build_tasks.model.matrix import Platform
from build_tasks.process import Command, Completed

HERE = Client("docker", ("docker-buildx",), {"BUILDX_CONFIG": "/c"})
INSPECTED = """\
Name:          farm
Driver:        docker-container
Last Activity: 2026-11-24 21:17:18 +0000 UTC

Nodes:
Name:                  farm0
Endpoint:              unix:///run/docker.sock
Driver Options:        image="x:1" network="host"
Status:                running
BuildKit daemon flags: --allow-insecure-entitlement=network.host
BuildKit version:      v0.25.1
Platforms:             linux/amd64*, linux/amd64/v2, linux/arm64
Labels:
 org.mobyproject.buildkit.worker.executor:    oci
 org.mobyproject.buildkit.worker.hostname:    All
GC Policy rule#0:
 All:            false
 Filters:        type==source.local,type==exec.cachemount
 Keep Duration:  48h0m0s
 Max Used Space: 488.3MiB
GC Policy rule#1:
 All:            true
 Reserved Space: 9.313GiB
 Min Free Space: 10B
File#buildkitd.toml:
 > [worker.oci]
 >   gc = true

Name:     farm1
Endpoint: tcp://x:1
Error:    listing workers: connection refused
"""


def stored(**changes: object) -> Stored:
    node = StoredNode(
        "farm0", "unix:///run/docker.sock", (), (("image", "x:1"), ("network", "host")), ()
    )
    return Stored("farm", "docker-container", (replace(node, **changes),))  # type: ignore[arg-type]  # a test's own


def runs(**options: str) -> Container:
    found = {"image": "x:1", "network": "host", "memory": "0", **options}
    return Container(found["image"], "running", "", found)


WANTED = Builder("farm", nodes=(Node("farm0", options=(("image", "x:1"), ("network", "host"))),))


def differences(
    wanted: Builder, found: Stored, running: Container | None = None, engine: str = ""
) -> list[Difference]:
    return drift.find(wanted, found, engine, lambda _: running)


def test_what_buildx_wrote_down_is_read(tmp_path: Path) -> None:
    (tmp_path / "instances").mkdir()
    node = {
        "Name": "farm0",
        "Endpoint": "tcp://x:1",
        "Platforms": [
            {"architecture": "arm64", "os": "linux"},
            {"architecture": "arm", "os": "linux", "variant": "v7"},
        ],
        "DriverOpts": {"b": "2", "a": "1"},
        "Files": {"buildkitd.toml": "Z2MgPSB0cnVlCg=="},
    }
    bare = {"Name": "x", "Endpoint": "e", "Platforms": None, "DriverOpts": None, "Files": None}
    text = json.dumps({"Name": "farm", "Driver": "remote", "Nodes": [node, bare]})
    (tmp_path / "instances" / "farm").write_text(text)
    assert store.names(tmp_path) == ["farm"]
    assert store.read(tmp_path, "farm") == Stored(
        "farm",
        "remote",
        (
            StoredNode(
                "farm0",
                "tcp://x:1",
                ("linux/arm64", "linux/arm/v7"),
                (("a", "1"), ("b", "2")),
                (("buildkitd.toml", "gc = true\n"),),
            ),
            StoredNode("x", "e", (), (), ()),
        ),
    )
    assert store.read(tmp_path, "other") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"Driver": "x", "Nodes": [3]}', "[" * 100_000])
def test_what_buildx_did_not_write_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "instances").mkdir()
    (tmp_path / "instances" / "farm").write_text(text)
    with pytest.raises(EngineError, match="instances/farm: is no builder that buildx wrote"):
        store.read(tmp_path, "farm")
    (tmp_path / "instances" / "farm").unlink()
    (tmp_path / "instances" / "farm").mkdir()
    with pytest.raises(EngineError, match="instances/farm: cannot be read: Is a directory"):
        store.read(tmp_path, "farm")


@pytest.mark.parametrize("answer", ["", "{}", "[3]", '[{"Config": {}}]', "[" * 100_000])
def test_an_answer_that_describes_no_container_is_one_line(
    answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "run", lambda command, **_: Completed(command, 0, answer, ""))
    with pytest.raises(EngineError, match="buildx_buildkit_a0: docker's answer is no description"):
        container.look(Client("docker", ("buildx",), {}), "a0", "default")


def test_what_buildx_tells_is_data() -> None:
    first, second = inspection.nodes(INSPECTED)
    assert (first.name, first.status, first.version) == ("farm0", "running", "v0.25.1")
    assert first.endpoint == "unix:///run/docker.sock"
    assert first.platforms == ("linux/amd64*", "linux/amd64/v2", "linux/arm64")
    assert first.collection == [
        {
            "all": False,
            "filters": ["type==source.local,type==exec.cachemount"],
            "keep-duration": "48h0m0s",
            "max-used-space": 512019661,
        },
        {
            "all": True,
            "filters": [],
            "keep-duration": "",
            "reserved-space": 9999757607,
            "min-free-space": 10,
        },
    ]
    assert (second.name, second.status) == ("farm1", "error")
    assert second.error == "listing workers: connection refused"
    assert inspection.error(INSPECTED) == ""
    assert inspection.error("Name: x\nError: no such thing\n") == "no such thing"
    assert inspection.nodes("Name: x\nError: no such thing\n") == []
    assert inspection.size("much") == 0


@pytest.mark.parametrize(
    ("nodes", "found"),
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
def test_the_node_that_buildx_takes_is_known(
    nodes: dict[str, tuple[str, ...]], found: Route | None
) -> None:
    assert routing.route(Platform.ARM64, nodes) == found


def test_only_the_nodes_that_builds_need_are_used() -> None:
    amd, arm = (
        StoredNode(name, f"tcp://{name}:1", (platform,), (), ())
        for name, platform in (("amd", "linux/amd64"), ("arm", "linux/arm64"))
    )
    both = Stored("farm", "remote", (amd, arm))
    assert routing.used(both, [Platform.AMD64]) == (amd,)
    assert routing.used(both, [Platform.ARM64, Platform.ARM64]) == (arm,)
    assert routing.settled(both, [Platform.ARM64, Platform.AMD64])
    free = Stored("farm", "remote", (amd, replace(arm, platforms=())))
    assert routing.used(free, [Platform.ARM64]) == free.nodes
    assert not routing.settled(free, [Platform.ARM64])


@pytest.mark.parametrize(
    "registry", ["127.0.0.1:5000", "localhost", "localhost:5000", "[::1]:5000"]
)
def test_a_loopback_registry_needs_the_hosts_network(registry: str) -> None:
    made = configuration.beside(registry, default_builder("a"), "stand-in:1")
    assert dict(made.nodes[0].options) == {"image": "stand-in:1", "network": "host"}
    assert made.insecure == (registry,)
    assert configuration.flat(configuration.text(made)) == {
        f"registry.{registry}.http": "true",
        f"registry.{registry}.insecure": "true",
    }


def test_what_a_user_chose_stays() -> None:
    near = Node("a0", options=(("network", "own"), ("image", "mine:1")))
    far = Node("far", "ssh://x", (Platform.ARM64,))
    made = configuration.beside("127.0.0.1:5000", Builder("a", nodes=(near, far)), "stand-in:1")
    assert [dict(node.options) for node in made.nodes] == [
        {"network": "own", "image": "mine:1"},
        {},
    ]
    assert configuration.beside("ghcr.io", default_builder("a"), "") == default_builder("a")
    remote = Builder("a", Driver.REMOTE, (Node("a0", "tcp://x:1"),))
    assert configuration.beside("127.0.0.1:5000", remote, "x") == remote
    assert configuration.text(default_builder("a")) == ""


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
    extra = StoredNode("old", "tcp://old:1", (), (), ())
    found = replace(found, nodes=(*found.nodes, extra))
    assert differences(wanted, found) == [
        Difference("old", "node", "none", "tcp://old:1"),
        Difference("farm0", "endpoint", "tcp://y:1", "unix:///run/docker.sock"),
        Difference("farm0", "platforms", "linux/arm64", "not set"),
        Difference("farm0", "image", "x:2", "x:1"),
        Difference("farm0", "memory", "4g", "not set"),
        Difference("farm0", "buildkitd.toml: registry.x.http", "not set", "true"),
        Difference("farm0", "buildkitd.toml: worker.oci.gc", "true", "not set"),
        Difference("farm0", "buildkitd.toml: worker.oci.maxUsedSpace", "5", "not set"),
        Difference("farm1", "node", "there", "missing"),
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
    assert one.found.startswith("no TOML: ")


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
    found = container.look(HERE, "farm0", "ssh://x")
    assert found
    assert (found.image, found.status, found.configuration) == ("x:1", "running", "gc = true")
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
    found = container.look(HERE, "farm0", "default")
    assert found
    assert found.configuration == ""
    monkeypatch.setattr(process, "run", lambda command, **_: Completed(command, 1, "", "none"))
    assert container.look(HERE, "farm0", "default") is None


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
        container.look(HERE, "farm0", "default")
