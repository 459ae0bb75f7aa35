"""What can go wrong, made to happen on the real engine: one line each, with its exit code."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_proxy import proxied
from suite import Suite, last

from build_tasks.engine.folders import engine_folders
from build_tasks.engine.state import EmbeddedEngine

BUILD = ("image.build", "--python", "3.11")
SMALL = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE} AS main\n"


def write(project: Suite, dockerfile: str) -> None:
    (project.root / "Dockerfile.ci").write_text(dockerfile)


def fails(project: Suite, code: int, *options: str) -> str:
    done = project.invoke(*BUILD, *options)
    assert done.returncode == code, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    return last(done.stderr)


def test_a_failing_step_is_named_with_its_last_line(project: Suite) -> None:
    write(project, f"{SMALL}RUN echo before >&2; echo 'what went wrong' >&2; exit 42\n")
    done = project.invoke(*BUILD)
    assert done.returncode == 10
    assert last(done.stderr) == (
        "ci-3.11-amd64: what went wrong "
        "(step \"echo before >&2; echo 'what went wrong' >&2; exit 42\", exit code 42)"
    )
    assert "| what went wrong" in done.stderr  # the step's own words stand above it


@pytest.mark.parametrize(
    ("dockerfile", "said"),
    [
        ("FORM x\n", "dockerfile parse error on line 1: unknown instruction: FORM"),
        (
            f"{SMALL}FROM main\nCOPY --from=main /nothing /\n",
            "lstat /nothing: no such file or directory",
        ),
        (f"{SMALL}RUN --mont=x true\n", "unknown flag: --mont"),
    ],
)
def test_a_broken_dockerfile_is_one_line(project: Suite, dockerfile: str, said: str) -> None:
    write(project, dockerfile)
    line = fails(project, 9)
    assert line.startswith("ci-3.11-amd64: ")
    assert said in line


def test_a_missing_dockerfile_is_one_line(project: Suite) -> None:
    (project.root / "Dockerfile.ci").unlink()
    assert fails(project, 2).endswith("/Dockerfile.ci: cannot be read: No such file or directory")


def test_a_missing_base_image_is_one_line(project: Suite, engine: EmbeddedEngine) -> None:
    image = f"{engine.registry}/nothing:{{python}}"
    line = fails(project, 4, "--base-image", image)
    assert line == f"ci-3.11-amd64: base image {engine.registry}/nothing:3.11: not found"


def test_a_registry_that_is_not_there_is_one_line(project: Suite) -> None:
    write(project, SMALL)
    line = fails(project, 7, "--registry", "127.0.0.1:1", "--push")
    assert "127.0.0.1:1" in line
    assert "connection refused" in line
    assert "127.0.0.1:1" in fails(project, 7, "--base-image", "127.0.0.1:1/x:{python}")


@pytest.fixture
def guarded(engine: EmbeddedEngine, tmp_path: Path) -> Iterator[str]:
    """A registry that wants a password."""
    where = engine_folders()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "users").write_text(
        "user:$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n"
    )
    (tmp_path / "registry.yml").write_text(
        "version: 0.1\n"
        f"storage: {{filesystem: {{rootdirectory: {tmp_path}/data}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
        f"auth: {{htpasswd: {{realm: tests, path: {tmp_path}/users}}}}\n"
    )
    program = where.packages(engine.release) / "usr/bin/docker-registry"
    with subprocess.Popen(
        [program, "serve", tmp_path / "registry.yml"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
        process.terminate()


def test_a_refused_push_is_one_line(project: Suite, guarded: str) -> None:
    write(project, SMALL)
    line = fails(project, 5, "--registry", guarded, "--push")
    assert guarded in line
    assert "check `docker login`" in line


def test_a_cache_that_cannot_be_written_keeps_the_image_and_is_said(
    project: Suite, guarded: str
) -> None:
    write(project, f"{SMALL}RUN echo $RANDOM > /x\n")
    done = project.invoke(*BUILD, "--registry", guarded, "--push-cache")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "ci-3.11-amd64: warning: the cache was not written to " in done.stderr
    assert f"ci-3.11-amd64: loaded {guarded}/" in last(done.stderr)
    pushed = project.invoke("cache.push", "--python", "3.11", "--registry", guarded)
    assert pushed.returncode == 4
    assert "the cache was not written to " in last(pushed.stderr)


def test_an_engine_that_is_not_there_is_one_line(
    project: Suite, engine: EmbeddedEngine, tmp_path: Path
) -> None:
    plugins = tmp_path / "config" / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-buildx").symlink_to(engine.buildx)
    elsewhere = project.having(
        DOCKER_HOST=f"unix://{tmp_path}/no.sock",
        DOCKER_CONFIG=str(tmp_path / "config"),
        AIRFLOW_IMAGES_ENGINE="auto",
        PATH=f"{engine.docker.parent}:/usr/bin:/bin",
    )
    line = fails(elsewhere, 3)
    assert f"Cannot connect to the Docker daemon at unix://{tmp_path}/no.sock" in line
    assert "no builder 'nope' found" in fails(project, 3, "--builder", "nope").replace('"', "'")


@pytest.fixture
def full_disk(engine: EmbeddedEngine, tmp_path: Path) -> Iterator[Path]:
    """A cache folder whose engine keeps its data on a disk of 48 MB."""
    folder = tmp_path / "cache"
    data = folder / "engine" / "data"
    data.mkdir(parents=True)
    (folder / "engine" / "packages").symlink_to(engine_folders().home / "packages")
    size = ("-t", "tmpfs", "-o", "size=48m", "tmpfs")
    subprocess.run(["/bin/mount", *size, str(data)], check=True)
    yield folder
    subprocess.run(["/bin/umount", "--lazy", str(data)], check=True)


def test_a_full_disk_is_one_line(project: Suite, engine: EmbeddedEngine, full_disk: Path) -> None:
    small = project.having(AIRFLOW_IMAGES_CACHE=str(full_disk), DOCKER_CONFIG=project.config)
    small.good("engine.start")
    try:
        image = f"{engine.registry}/debian-python:{{python}}"
        line = fails(small, 6, "--base-image", image)
        assert "no space left on device" in line.lower()
        assert "invoke cache.prune" in line
    finally:
        small.good("engine.stop")


def sleepers(mark: str) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if mark in words and int(folder.name) != os.getpid():
            found.append(words)
    return found


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("front_end", ["nox", "invoke"])
def test_a_signal_ends_the_build_in_the_engine(
    project: Suite, front_end: str, signum: signal.Signals
) -> None:
    mark = f"sleep 3{signum.value}{len(front_end)}1"
    write(project, f"{SMALL}RUN {mark}\n")
    commands = {"nox": ("nox", "-s", "build_ci-3.11"), "invoke": ("invoke", *BUILD)}
    with project.start(*commands[front_end]) as process:
        deadline = time.monotonic() + 60
        while not any(words.startswith(mark) for words in sleepers(mark)):
            assert time.monotonic() < deadline, "the step never began"
            time.sleep(0.1)
        process.send_signal(signum)
        began = time.monotonic()
        _, err = process.communicate(timeout=30)
        while sleepers(mark) and time.monotonic() < began + 10:
            time.sleep(0.1)
    assert sleepers(mark) == []
    assert time.monotonic() - began < 10
    assert process.returncode == (130 if front_end == "nox" else 128 + signum)
    assert "Traceback" not in err
    assert project.engine("ps", "--all", "--quiet") == ""
    again = project.invoke("cache.prune")  # nothing holds a lock
    assert again.returncode == 0


def test_what_is_left_over_from_another_engine_does_not_count(
    project: Suite, engine: EmbeddedEngine
) -> None:
    write(
        project, "FROM scratch AS main\nARG BASE_IMAGE\nCOPY constraints/constraints-3.11.txt /\n"
    )
    stray = project.having(
        DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH="/nonexistent", DOCKER_API_VERSION="1.12"
    )
    stray.good(*BUILD)
    said = stray.good("image.check", "--kind", "ci", "--python", "3.11", "--local").stdout
    assert "  the engine has an older one" in said  # than a base that this image is not made on
    # The same engine as a stranger: the question fails, and nobody knows.
    stranger = stray.having(
        AIRFLOW_IMAGES_ENGINE="docker",
        AIRFLOW_IMAGES_REGISTRY=engine.registry,
        DOCKER_HOST=engine.host,
        DOCKER_API_VERSION="",
        PATH=f"{engine.docker.parent}{os.pathsep}{engine.buildx.parent}{os.pathsep}"
        f"{os.environ['PATH']}",
    )
    said = stranger.good("image.check", "--kind", "ci", "--python", "3.11", "--local").stdout
    assert said.startswith("ci-3.11-amd64: not known\n")
    assert "open /nonexistent/ca.pem: no such file or directory" in said


def test_the_embedded_engines_address_may_be_exported(
    project: Suite, engine: EmbeddedEngine
) -> None:
    exported = project.having(AIRFLOW_IMAGES_ENGINE="auto", DOCKER_HOST=engine.host)
    line = exported.good(*BUILD, "--dry-run").stdout
    assert f"BASE_IMAGE={engine.registry}/debian-python:3.11" in line
    assert f"--tag {engine.registry}/" in line
    rows = json.loads(exported.good("matrix", "--json").stdout)["include"]
    assert {row["image"].partition("/")[0] for row in rows} == {engine.registry}


@pytest.mark.parametrize("key", ["credsStore", "credHelpers"])
def test_a_missing_credential_helper_names_registry_and_file(
    project: Suite, engine: EmbeddedEngine, tmp_path: Path, key: str
) -> None:
    write(
        project, "FROM scratch AS main\nARG BASE_IMAGE\nCOPY constraints/constraints-3.11.txt /\n"
    )
    config = tmp_path / "docker-config"
    config.mkdir()
    with proxied(engine.registry) as proxy:
        proxy.guard()
        value = "desktop.exe" if key == "credsStore" else {proxy.address: "desktop.exe"}
        (config / "config.json").write_text(json.dumps({key: value}))
        here = project.having(DOCKER_CONFIG=str(config))
        line = fails(here, 5, "--push", "--registry", proxy.address)
        assert f"no credentials for {proxy.address}: exec: " in line
        assert f"credsStore and credHelpers in {config}/config.json name the program" in line
