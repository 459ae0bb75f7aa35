"""Dedicated builders on the real engine: made, used, found, drifted, mended; nodes that fail."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from remote import Remote, certificates, remote
from suite import Suite, last, steps

from build_tasks.engine.folders import engine_folders
from build_tasks.engine.state import EmbeddedEngine

#: Builds that need no base image, and so no network: which node makes them is what counts.
SCRATCH = "ARG BASE_IMAGE\nFROM scratch AS main\nCOPY constraints/constraints-3.11.txt /it\n"
SMALL = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE} AS base\nFROM base AS main\nRUN echo built > /it\n"
BUILD = ("image.build", "--python", "3.11", "--progress", "plain")
ROUNDS = int(os.environ.get("AIRFLOW_IMAGES_TESTS_ROUNDS", "2"))
CROWD = 50


def unique(start: str) -> str:
    return f"{start}-{secrets.token_hex(3)}"


@pytest.fixture(autouse=True)
def no_builder_is_left(suite: Suite, cache: Path) -> Iterator[None]:
    """Remove the builders of a test that failed: the engine cannot restart while one runs."""
    yield
    for folder in (cache / "builders").glob("[!.]*"):
        suite.invoke("builder.remove", "--builder", folder.name)


def define(project: Suite, tables: str, dockerfile: str = SCRATCH) -> Suite:
    """Return the suite with builders of its own in images.toml, and an image that is made fast."""
    (project.root / "images.toml").write_text(
        f'repository = "tests/builders"\npythons = ["3.11"]\n{tables}'
    )
    (project.root / "Dockerfile.ci").write_text(dockerfile)
    return project


def inspected(suite: Suite, name: str) -> dict[str, object]:
    seen: dict[str, object] = json.loads(
        suite.good("builder.inspect", "--builder", name, "--json").stdout
    )
    return seen


def nodes(suite: Suite, name: str) -> list[dict[str, object]]:
    found = inspected(suite, name)["nodes"]
    assert isinstance(found, list)
    return found


def volumes(suite: Suite) -> list[str]:
    return suite.engine("volume", "ls", "--quiet").split()


def containers(suite: Suite, name: str) -> list[str]:
    listed = suite.engine("ps", "--all", "--format", "{{.Names}}").split()
    return [one for one in listed if one.startswith(f"buildx_buildkit_{name}")]


def took(suite: Suite, *arguments: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    began = time.monotonic()
    done = suite.invoke(*arguments)
    return time.monotonic() - began, done


@pytest.fixture
def near(suite: Suite, engine: EmbeddedEngine) -> Iterator[Remote]:
    """The tests' own engine as a remote node."""
    variables = {**suite.environment, "DOCKER_HOST": engine.host}
    with remote(str(engine.buildx), variables) as one:
        yield one


@pytest.fixture(scope="module")
def other(
    suite: Suite, engine: EmbeddedEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Suite]:
    """A second engine, whose packages need not be fetched again."""
    folder = tmp_path_factory.mktemp("other")
    (folder / "engine").mkdir()
    (folder / "engine" / "packages").symlink_to(engine_folders().home / "packages")
    there = suite.having(AIRFLOW_IMAGES_CACHE=str(folder))
    there.good("engine.start")
    host = json.loads(there.good("engine.status", "--json").stdout)["DOCKER_HOST"]
    yield Suite(there.environment, docker=(str(engine.docker), "--host", host))
    there.good("engine.stop")


@pytest.fixture
def far(other: Suite, engine: EmbeddedEngine) -> Iterator[Remote]:
    """The second engine as a remote node."""
    variables = {**other.environment, "DOCKER_HOST": other.docker[-1]}
    with remote(str(engine.buildx), variables) as one:
        yield one


@pytest.mark.nightly
def test_a_builder_drifts_and_is_made_anew_with_its_cache(project: Suite) -> None:
    name = unique("drift")
    table = f'[builders.{name}]\nmax-used-space = "3GB"\n'
    define(project, table, SMALL)
    project.good("builder.create", "--builder", name)
    try:
        (first,) = nodes(project, name)
        assert first["stand-in"]
        assert "maxUsedSpace = 3000000000" in str(first["configuration"])
        # The BuildKit that runs read the file when it started.
        rules = first["garbage-collection"]
        assert isinstance(rules, list)
        assert abs(rules[-1]["max-used-space"] - 3e9) < 3e6
        assert [step.cached for step in steps(push(project, name))] == [False]
        assert [step.cached for step in steps(push(project, name))] == [True]
        (container,) = containers(project, name)
        made = project.engine("inspect", "--format", "{{.Id}}", container)

        define(project, table.replace("3GB", "4GB"), SMALL)
        said = project.invoke("builder.create", "--builder", name)
        assert said.returncode == 3
        difference = "buildkitd.toml: worker.oci.maxUsedSpace is 3000000000, expected 4000000000"
        assert f"{name}0: {difference}" in said.stderr
        assert "--recreate" in last(said.stderr)
        found = inspected(project, name)["differences"]
        assert isinstance(found, list)
        assert [one["what"] for one in found] == ["buildkitd.toml: worker.oci.maxUsedSpace"]
        assert project.engine("inspect", "--format", "{{.Id}}", container) == made

        anew = project.good("builder.create", "--builder", name, "--recreate")
        assert last(anew.stderr) == f"builder {name} was recreated, with its cache"
        assert project.engine("inspect", "--format", "{{.Id}}", container) != made
        assert inspected(project, name)["differences"] == []
        # Without the registry's cache: what is found is the volume's.
        assert [step.cached for step in steps(push(project, name, "--cache-mode", "local"))] == [
            True
        ]

        project.good("cache.prune", "--builder", name, "--all")
        assert [step.cached for step in steps(push(project, name, "--cache-mode", "local"))] == [
            False
        ]
    finally:
        project.good("builder.remove", "--builder", name, "--keep-cache")
    assert containers(project, name) == []
    assert f"buildx_buildkit_{name}0_state" in volumes(project)
    project.good("builder.create", "--builder", name)
    assert [step.cached for step in steps(push(project, name, "--cache-mode", "local"))] == [True]
    define(project, table, SMALL)
    project.good("builder.create", "--builder", name, "--recreate", "--drop-cache")
    assert [step.cached for step in steps(push(project, name, "--cache-mode", "local"))] == [False]
    project.good("builder.remove", "--builder", name)
    assert f"buildx_buildkit_{name}0_state" not in volumes(project)


def push(project: Suite, name: str, *options: str) -> str:
    build = ("image.push", "--python", "3.11", "--builder", name, "--progress", "rawjson")
    return project.good(*build, *options).stderr


def test_what_runs_is_compared_and_not_only_what_buildx_wrote_down(
    project: Suite, engine: EmbeddedEngine
) -> None:
    """buildx takes new settings for a container that goes on with the old ones."""
    name = unique("stale")
    define(project, f"[builders.{name}]\n")
    project.good("builder.create", "--builder", name)
    try:
        folder = Path(project.environment["AIRFLOW_IMAGES_CACHE"]) / "builders" / name
        image = str(nodes(project, name)[0]["image"])
        options = (f"image={image}", "network=host", "env.MARK=new")
        raw = ["create", "--name", name, "--node", f"{name}0"]
        raw += [word for option in options for word in ("--driver-opt", option)]
        variables = {"BUILDX_CONFIG": str(folder / "buildx"), "DOCKER_HOST": engine.host}
        subprocess.run(
            [engine.buildx, *raw],
            env={**project.environment, **variables},
            capture_output=True,
            check=True,
        )
        define(project, f'[builders.{name}.options]\n"env.MARK" = "new"\n')
        said = project.invoke("builder.create", "--builder", name)
        assert said.returncode == 3
        assert f"{name}0: env.MARK is not set, expected new" in said.stderr
        project.good("builder.create", "--builder", name, "--recreate")
        (container,) = containers(project, name)
        assert "MARK=new" in project.engine("inspect", "--format", "{{.Config.Env}}", container)
    finally:
        project.good("builder.remove", "--builder", name)


def test_a_builder_that_was_stopped_is_started_again(project: Suite) -> None:
    name = unique("rest")
    define(project, f"[builders.{name}]\n")
    project.good("builder.create", "--builder", name)
    try:
        project.engine("stop", f"buildx_buildkit_{name}0")
        assert inspected(project, name)["status"] == "stopped"
        project.good("builder.create", "--builder", name)
        assert inspected(project, name)["status"] == "running"
        project.engine("rm", "--force", f"buildx_buildkit_{name}0")
        project.good("builder.create", "--builder", name)
        assert inspected(project, name)["differences"] == []
        assert inspected(project, name)["status"] == "running"
    finally:
        project.good("builder.remove", "--builder", name)


def test_a_build_creates_the_builder_that_images_toml_names(project: Suite) -> None:
    name = unique("first")
    define(project, f'builder = "{name}"\n[builders.{name}]\n')
    builds = [project.start("invoke", *BUILD, "--load") for _ in range(3)]
    for process in builds:
        with process:
            _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err[-2000:]
    assert containers(project, name) == [f"buildx_buildkit_{name}0"]
    project.good("builder.remove", "--builder", name)


@pytest.mark.nightly
@pytest.mark.parametrize("driver", ["docker-container", "remote"])
def test_fifty_processes_ask_for_the_same_new_builder(
    project: Suite, near: Remote, driver: str
) -> None:
    """Each then asks that builder to build, or says why not; the file was in place by then."""
    name = unique("crowd")
    table = f'[builders.{name}]\nmax-used-space = "2GB"\n'
    if driver == "remote":
        table = (
            f'[builders.{name}]\ndriver = "remote"\n[[builders.{name}.nodes]]\n'
            f'endpoint = "{near.endpoint}"\n'
        )
    define(project, table)
    rounds = ROUNDS if driver == "docker-container" else max(1, ROUNDS // 2)
    seconds = []
    for _ in range(rounds):
        began = time.monotonic()
        crowd = [project.start("invoke", "builder.create", "--builder", name) for _ in range(CROWD)]
        said = []
        for process in crowd:
            with process:
                _, err = process.communicate(timeout=600)
            assert process.returncode == 0, err[-2000:]
            said.append(last(err))
        seconds.append(time.monotonic() - began)
        ready = f"builder {name} is ready: build with it with --builder {name}"
        assert sorted(said) == [f"builder {name} exists and runs"] * (CROWD - 1) + [ready]
        (node,) = nodes(project, name)
        if driver == "docker-container":
            assert containers(project, name) == [f"buildx_buildkit_{name}0"]
            assert "maxUsedSpace = 2000000000" in str(node["configuration"])
            # What the BuildKit has of it, it can only have read before it built anything.
            rules = node["garbage-collection"]
            assert isinstance(rules, list)
            assert abs(rules[-1]["max-used-space"] - 2e9) < 2e6
        project.good(*BUILD, "--builder", name, "--load")
        project.good("builder.remove", "--builder", name)
        assert containers(project, name) == []
    print(f"{driver}: {rounds} rounds, seconds: {', '.join(f'{one:.1f}' for one in seconds)}")


def two_nodes(name: str, near: Remote, far: Remote) -> str:
    return (
        f'[builders.{name}]\ndriver = "remote"\n'
        f'[[builders.{name}.nodes]]\nname = "{name}-amd64"\nendpoint = "{near.endpoint}"\n'
        'platforms = ["linux/amd64"]\n'
        f'[[builders.{name}.nodes]]\nname = "{name}-arm64"\nendpoint = "{far.endpoint}"\n'
        'platforms = ["linux/arm64"]\n'
    )


def test_each_platform_goes_to_the_node_that_has_it(
    project: Suite, other: Suite, near: Remote, far: Remote
) -> None:
    name = unique("two")
    mark = secrets.token_hex(4)
    define(project, two_nodes(name, near, far), f"{SCRATCH}LABEL mark={mark}\n")
    project.good("builder.create", "--builder", name)
    try:
        shown = nodes(project, name)
        assert [node["status"] for node in shown] == ["running", "running"]
        assert [node["platforms-set"] for node in shown] == [["linux/amd64"], ["linux/arm64"]]
        for remote_, idle, platform in ((near, far, "amd64"), (far, near, "arm64")):
            before = (remote_.connections, idle.connections)
            done = project.good(
                *(*BUILD, "--builder", name, "--platform", platform),
                *("--push", "--base-image", "scratch", "--tag", mark),
            )
            assert "emulated" not in done.stderr
            assert remote_.connections > before[0]
            assert idle.connections == before[1]
        assert other.docker != project.docker
    finally:
        project.good("builder.remove", "--builder", name)


def test_a_dead_node_is_named_and_delays_nobody_who_does_not_use_it(
    project: Suite, near: Remote, far: Remote
) -> None:
    name = unique("half")
    define(project, two_nodes(name, near, far))
    project.good("builder.create", "--builder", name)
    build = (*BUILD, "--builder", name, "--push", "--base-image", "scratch", "--platform")
    try:
        usual, done = took(project, *build, "amd64")
        assert done.returncode == 0, done.stderr
        far.hang()
        for why in ("nothing came in 7 s", "Connection refused"):
            seconds, done = took(project, *build, "arm64")
            assert seconds < 10
            assert done.returncode == 7
            assert last(done.stderr) == (
                f"builder {name}: node {name}-arm64 ({far.endpoint}) does not answer: {why}"
            )
            seconds, done = took(project, *build, "amd64")
            assert done.returncode == 0, done.stderr
            assert seconds < usual + 5  # a wait for the other node takes seven more
            seconds, done = took(project, "builder.inspect", "--builder", name)
            assert seconds < 10
            assert why in done.stdout
            far.die()
    finally:
        project.good("builder.remove", "--builder", name)


def test_a_hung_node_in_another_builder_delays_no_build_of_ours(
    project: Suite, near: Remote
) -> None:
    ours, theirs = unique("ours"), unique("hung")
    remotes = "".join(
        f'[builders.{name}]\ndriver = "remote"\n[[builders.{name}.nodes]]\n'
        f'endpoint = "{endpoint}"\n'
        for name, endpoint in ((theirs, near.endpoint),)
    )
    define(project, f"[builders.{ours}]\n{remotes}")
    project.good("builder.create", "--builder", ours)
    project.good("builder.create", "--builder", theirs)
    try:
        measured = {}
        for builder in ("default", ours):
            project.good(*BUILD, "--builder", builder, "--load")
            usual = min(took(project, *BUILD, "--builder", builder, "--load")[0] for _ in range(3))
            measured[builder] = usual
        near.hang()
        # While somebody waits for the hung one, whatever they do with it.
        waiting = [
            project.start("invoke", *BUILD, "--builder", theirs, "--load"),
            project.start("invoke", "builder.list"),
            project.start("invoke", "builder.create", "--builder", theirs),
        ]
        time.sleep(2)  # until they have started, which takes this machine's processors
        for builder, usual in measured.items():
            seconds, done = took(project, *BUILD, "--builder", builder, "--load")
            assert done.returncode == 0, done.stderr
            assert seconds < usual + 10  # buildx waits 20 s for a node that hangs
            print(f"{builder}: usually {usual:.2f} s, beside a hung node {seconds:.2f} s")
        codes = []
        for process in waiting:
            with process:
                out, err = process.communicate(timeout=60)
            codes.append(process.returncode)
            assert "nothing came in 7 s" in out + err
        assert codes == [7, 0, 7]
    finally:
        project.good("builder.remove", "--builder", ours)
        project.good("builder.remove", "--builder", theirs)


def test_a_node_behind_client_certificates(
    project: Suite, suite: Suite, engine: EmbeddedEngine, tmp_path: Path
) -> None:
    context = certificates(tmp_path)
    context.set_alpn_protocols(["h2"])
    name = unique("tls")
    variables = {**suite.environment, "DOCKER_HOST": engine.host}
    with remote(str(engine.buildx), variables, context) as one:
        table = (
            f'[builders.{name}]\ndriver = "remote"\n[[builders.{name}.nodes]]\n'
            f'endpoint = "{one.endpoint}"\n'
            f'options = {{ cacert = "{tmp_path}/ca.pem"%s }}\n'
        )
        define(project, table % "")
        refused = project.invoke("builder.create", "--builder", name)
        assert refused.returncode == 7
        assert f"node {name}0 ({one.endpoint}) does not answer: " in last(refused.stderr)
        client = f', cert = "{tmp_path}/client.pem", key = "{tmp_path}/client.key"'
        define(project, table % client)
        project.good("builder.create", "--builder", name)
        project.good(*BUILD, "--builder", name, "--load")
        assert inspected(project, name)["status"] == "running"
        project.good("builder.remove", "--builder", name)


def test_a_builder_of_the_users_own_is_used_and_left_alone(
    project: Suite, near: Remote, engine: EmbeddedEngine, tmp_path: Path
) -> None:
    name = unique("team")
    theirs = tmp_path / "theirs"
    define(project, "")
    mine = project.having(BUILDX_CONFIG=str(theirs))
    subprocess.run(
        [engine.buildx, "create", "--name", name, "--driver", "remote", near.endpoint],
        env={**mine.environment, "DOCKER_HOST": engine.host},
        capture_output=True,
        check=True,
    )
    before = (theirs / "instances" / name).read_text()
    mine.good(*BUILD, "--builder", name, "--load")
    assert name in mine.good("builder.list").stdout
    assert inspected(mine, name)["from"] == "you"
    for task in ("builder.create", "builder.remove"):
        said = mine.invoke(task, "--builder", name)
        assert said.returncode == 2
        assert f"{name} is your own" in last(said.stderr)
    assert (theirs / "instances" / name).read_text() == before
