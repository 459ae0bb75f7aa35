"""The embedded engine on a real machine: start, stop, restart, emulation, several engines."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import pytest
from suite import Suite, last, steps

from build_tasks.engine import emulation, packages, stand_ins, state
from build_tasks.engine import processes as procs
from build_tasks.engine.folders import Folders, buildx_plugin, engine_folders
from build_tasks.engine.state import EmbeddedEngine, EngineState

IP = "/usr/sbin/ip"


@pytest.fixture
def second(suite: Suite, engine: EmbeddedEngine, tmp_path: Path) -> Iterator[Suite]:
    """The suite with another engine, whose packages need not be fetched again."""
    folder = tmp_path / "cache"
    (folder / "engine").mkdir(parents=True)
    (folder / "engine" / "packages").symlink_to(engine_folders().home / "packages")
    # Its user has the credentials of the first engine's registry.
    config = engine.environment["DOCKER_CONFIG"]
    yield suite.having(AIRFLOW_IMAGES_CACHE=str(folder), DOCKER_CONFIG=config)
    suite.having(AIRFLOW_IMAGES_CACHE=str(folder)).good("engine.stop")


def folders_of(suite: Suite) -> Folders:
    return Folders(Path(suite.environment["AIRFLOW_IMAGES_CACHE"]) / "engine")


def state_of(suite: Suite) -> EngineState:
    running = state.read(folders_of(suite))
    assert running
    return running


def interfaces() -> set[str]:
    """Return the names of this machine's network interfaces."""
    return {path.name for path in Path("/sys/class/net").iterdir()}


def answer(address: str, path: str) -> int:
    """Return the status of a server that may still be starting: its proxy listens before."""
    for _ in range(60):
        with contextlib.closing(http.client.HTTPConnection(address, timeout=5)) as connection:
            try:
                connection.request("GET", path)
                return connection.getresponse().status
            except (OSError, http.client.HTTPException):
                time.sleep(0.5)
    return 0


def rules() -> str:
    root = engine_folders().packages("unstable")
    environment = {**os.environ, **packages.environment(root)}
    programs = ("iptables-save", "ip6tables-save")
    tables = [
        subprocess.run(
            [root / "usr/sbin" / program],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for program in programs
    ]
    lines = "".join(tables).splitlines()
    return "\n".join(line.partition(" [")[0] for line in lines if not line.startswith("#"))


def foreign(names: Iterable[str]) -> set[str]:
    """Return the names that are not an engine's: other engines may start and stop meanwhile."""
    return {name for name in names if not re.search(r"\b(afi|afb|veth)", name)}


def processes(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(folder) in words and int(process.name) != os.getpid():
            found.append(words)
    return found


def test_a_second_start_changes_nothing_and_a_stop_leaves_nothing(second: Suite) -> None:
    folders = folders_of(second)
    before = (foreign(interfaces()), foreign(rules().splitlines()))
    second.good("engine.start")
    first = state_of(second)
    assert folders.bridge in interfaces()
    second.good("engine.start")
    assert state_of(second) == first
    status = second.good("engine.status", "--json").stdout
    assert f'"registry": "{first.registry}"' in status
    stopped = second.good("engine.stop").stderr
    assert f"stopped dockerd ({first.daemons['dockerd'].pid})" in stopped
    assert f"removed the bridge {folders.bridge}" in stopped
    assert folders.bridge not in interfaces()
    assert folders.bridge not in rules()
    assert (foreign(interfaces()), foreign(rules().splitlines())) == before
    assert processes(folders.home) == []
    assert processes(folders.run) == []
    assert not folders.run.exists()
    mounts = Path("/proc/self/mounts").read_text()
    assert str(folders.run) not in mounts
    assert str(folders.home) not in mounts
    assert last(second.good("engine.stop").stderr) == "the embedded engine does not run"


def test_concurrent_starts_give_one_engine(second: Suite) -> None:
    starts = [second.start("invoke", "engine.start") for _ in range(4)]
    for process in starts:
        with process:
            _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    folders = folders_of(second)
    assert len([words for words in processes(folders.home) if "dockerd" in words.split()[0]]) == 1
    assert len([words for words in processes(folders.home) if "docker-registry" in words]) == 1


def test_a_crashed_engine_is_restarted_and_the_other_engines_bridge_stays(
    second: Suite, suite: Suite
) -> None:
    second.good("engine.start")
    crashed = state_of(second)
    (containerd,) = (
        process for process in procs.find(folders_of(second)) if process.name == "containerd"
    )
    os.kill(crashed.daemons["dockerd"].pid, signal.SIGKILL)
    os.kill(crashed.daemons["registry"].pid, signal.SIGKILL)
    subprocess.run([IP, "link", "delete", folders_of(second).bridge], check=True)
    assert "'running': False" not in second.good("engine.start").stderr
    restarted = state_of(second)
    assert restarted.registry == crashed.registry  # image names carry it
    assert restarted.daemons != crashed.daemons
    second.good("engine.stop")
    assert not containerd.alive
    assert str(folders_of(second).home) not in Path("/proc/self/mounts").read_text()
    assert folders_of(suite).bridge in interfaces()
    suite.engine("info")


def test_an_interrupted_start_leaves_nothing(second: Suite) -> None:
    folders = folders_of(second)
    process = second.start("invoke", "engine.start")
    with process:
        deadline = time.monotonic() + 60
        while not (folders.run / "docker.pid").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "Traceback" not in err
    assert processes(folders.home) == []
    assert folders.bridge not in interfaces()


def test_purging_removes_what_the_engine_keeps(second: Suite) -> None:
    folders = folders_of(second)
    second.good("engine.start")
    second.good("engine.stop", "--purge")
    assert not folders.home.exists()
    assert (engine_folders().home / "packages" / "unstable").exists()  # the link's target stays


def test_users_can_publish_ports_and_create_networks(second: Suite, base: str) -> None:
    """As the official compose file does: services find each other by name, and reach the world."""
    folders = folders_of(second)
    second.good("engine.start")
    docker = replace(second, docker=(str(second.docker[0]), "--host", f"unix://{folders.socket}"))
    serve = ("python3", "-m", "http.server", "--directory", "/etc/apt", "8000")
    run = ("run", "--detach", "--network", "compose", "--name", "server", "--publish")
    docker.engine("network", "create", "compose")
    docker.engine(*run, "127.0.0.1::8000", base, *serve)
    address = docker.engine("port", "server", "8000").strip()
    fetch = "import sys, urllib.request as r; r.urlopen(r.Request(sys.argv[1]), timeout=30)"
    patience = "-oAcquire::Retries=6"
    try:
        assert answer(address, "/sources.list") == HTTPStatus.OK
        inside = ("run", "--rm", "--network", "compose", base)
        docker.engine(*inside, "python3", "-c", fetch, "http://server:8000/sources.list")
        docker.engine(*inside, "apt-get", patience, "--error-on=any", "update")
    finally:
        docker.engine("rm", "--force", "server")
    before = {name for name in interfaces() if name.startswith("br-")}
    second.good("engine.stop")
    assert len(before - interfaces()) == 1
    second.good("engine.start")
    assert "compose" in docker.engine("network", "ls").split()


@pytest.mark.nightly
def test_the_older_engine_and_buildx_build_run_merge_and_prune(
    suite: Suite, engine: EmbeddedEngine, tmp_path: Path
) -> None:
    """docker.io 26.1 with buildx 0.13: what the suite needs works on both."""
    cache = Path(suite.environment["AIRFLOW_IMAGES_CACHE"]).with_name("tests-trixie")
    old = suite.having(AIRFLOW_IMAGES_CACHE=str(cache), AIRFLOW_IMAGES_ENGINE_RELEASE="trixie")
    old.good("engine.start")
    try:
        running = state_of(old)
        root = folders_of(old).packages("trixie")
        assert running.release == "trixie"
        docker = (str(root / "usr/bin/docker"), "--host", f"unix://{folders_of(old).socket}")
        old = Suite(old.environment, docker=docker)
        assert old.engine("version", "--format", "{{.Server.Version}}").startswith("26.1.")
        plugin = str(buildx_plugin(root))
        version = subprocess.run([plugin, "version"], capture_output=True, text=True, check=True)
        assert " 0.13.1" in version.stdout
        old.good("cache.prune", "--all")
        build = ("image.build", "--python", "3.11", "--push", "--push-cache")
        done = old.good(*build)
        assert "warning" not in last(done.stderr)
        assert "sha256:" in last(done.stderr)
        old.good("cache.prune", "--all")
        again = steps(old.good(*build, "--progress", "rawjson").stderr)
        assert len(again) >= 9
        assert all(step.cached for step in again)
        loaded = old.good("image.build", "--python", "3.11")
        name = last(loaded.stderr).split()[2]
        assert old.engine("run", "--rm", name, "airflow", "version") == "3.3.2\n"
        merges_and_counts(old, tmp_path)
        project = old.copy(tmp_path / "project")
        (project.root / "Dockerfile.ci").write_text(
            "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN exit 3\n"
        )
        failed = project.invoke("image.build", "--python", "3.11")
        assert failed.returncode == 10
        assert last(failed.stderr) == "ci-3.11-amd64: step 'exit 3' failed with exit code 3"
        missing = f"{running.registry}/nothing:1"
        failed = project.invoke("image.build", "--python", "3.11", "--base-image", missing)
        assert failed.returncode == 4
        assert last(failed.stderr) == f"ci-3.11-amd64: base image {missing}: not found"
    finally:
        old.good("engine.stop")


def merges_and_counts(old: Suite, tmp_path: Path) -> None:
    parts = ("--python", "3.11", "--digests", str(tmp_path / "digests"))
    old.good("image.build", *parts, "--push-by-digest")
    merged = old.good("image.merge", *parts, "--platform", "linux/amd64", "--tag", "merged")
    assert "ci-3.11: merged linux/amd64 as " in last(merged.stderr)
    (kept,) = json.loads(old.good("cache.usage", "--local", "--json").stdout)["builders"]
    assert kept["exact"]
    predicted = json.loads(old.good("cache.prune", "--dry-run", "--json").stdout)
    freed = json.loads(old.good("cache.prune", "--json").stdout)
    assert predicted["types"] == freed["types"]
    left = json.loads(old.good("cache.usage", "--local", "--json").stdout)["builders"][0]
    assert abs(kept["bytes"] - left["bytes"] - freed["bytes"]) <= kept["bytes"] * 0.01
    ceiling = old.invoke("cache.prune", "--max-used-space", "1GB")
    assert ceiling.returncode == 3
    assert "BuildKit 0.17 or newer, this is buildx 0.13.1" in last(ceiling.stderr)


def inspect(suite: Suite, engine: EmbeddedEngine, *words: str) -> str:
    """Ask the registry, with buildx."""
    plugin = replace(suite, docker=(str(engine.buildx),))
    return plugin.engine("imagetools", "inspect", *words)


@pytest.mark.nightly
@pytest.mark.skipif(not emulation.native("amd64"), reason="emulates arm64 on amd64")
def test_arm64_is_emulated_and_the_base_holds_both(suite: Suite, engine: EmbeddedEngine) -> None:
    amd64 = f"{stand_ins.python_reference(engine, '3.11')}-amd64"
    stand_ins.ensure_python(engine, "3.11", ["amd64"], print)
    digest = "{{json .Manifest.Digest}}"
    before = inspect(suite, engine, "--format", digest, amd64)
    suite.good("engine.start", "--emulate", "arm64")
    name = stand_ins.ensure_python(engine, "3.11", ["arm64"], print)
    index = inspect(suite, engine, "--raw", name)
    assert before.strip().strip('"') in index
    assert index.count('"architecture": "arm64"') == 1
    assert inspect(suite, engine, "--format", digest, amd64) == before
    for platform, machine in (("linux/arm64", "aarch64"), ("linux/amd64", "x86_64")):
        run = ("run", "--rm", "--pull", "always", "--platform", platform, name)
        script = "import platform; print(platform.machine())"
        assert suite.engine(*run, "python", "-c", script).strip() == machine


def emulators() -> set[str]:
    return {path.name for path in Path("/proc/sys/fs/binfmt_misc").glob("*aarch64*")}


@pytest.mark.skipif(not emulation.native("amd64"), reason="emulates arm64 on amd64")
def test_emulation_starts_and_stops_with_the_engine_and_interrupts_no_build(
    second: Suite, engine: EmbeddedEngine, tmp_path: Path
) -> None:
    folders = folders_of(second)
    mine = f"qemu-aarch64-afi-{folders.unique_id}"
    before = emulators()
    second.good("engine.start")
    # As if the machine had emulated nothing when dockerd started.
    state.write(folders, replace(state_of(second), foreign=()))
    first = state_of(second).daemons["dockerd"]
    project = second.copy(tmp_path / "project")
    (project.root / "Dockerfile.ci").write_text(
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN sleep 12; echo $RANDOM\n"
    )
    base = f"{engine.registry}/debian-python:{{python}}"
    build = ("invoke", "image.build", "--python", "3.11", "--base-image", base)
    emulate = ("engine.start", "--emulate", "arm64")
    for restarts in (True, False):
        with project.start(*build, "--cache-mode", "disabled") as building:
            deadline = time.monotonic() + 60
            while not any(words.startswith("sleep 12") for words in processes(Path("sleep 12"))):
                assert time.monotonic() < deadline, "the step never began"
                time.sleep(0.1)
            stderr = second.good(*emulate).stderr
            assert restarts or building.poll() is None
            _, err = building.communicate(timeout=120)
        assert building.returncode == 0, err[-2000:]
        assert ("waiting for the end of a build" in stderr) == restarts
    assert state_of(second).daemons["dockerd"] != first
    assert state_of(second).foreign == ("arm64",)
    lasting = {name for name in before if "-afi-" not in name}
    assert emulators() == before | (set() if lasting else {mine})
    plugin = str(buildx_plugin(folders.packages(state_of(second).release)))
    described = subprocess.run(
        [plugin, "inspect", "default"],
        env={**second.environment, "DOCKER_HOST": f"unix://{folders.socket}"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "linux/arm64" in described
    stopped = second.good("engine.stop").stderr
    assert ("disabled the emulation of arm64" in stopped) == (not lasting)
    assert emulators() == before


def test_an_engine_whose_network_was_taken_gets_another_one(
    second: Suite, engine: EmbeddedEngine, tmp_path: Path
) -> None:
    """A defect once found: dockerd gave the bridge its addresses of before, the rules did not."""
    folders = folders_of(second)
    second.good("engine.start")
    taken = state.saved_setting(folders, "addresses")
    second.good("engine.stop")
    address = taken.replace(".0/20", ".9/24")
    subprocess.run([IP, "link", "add", "afi-test", "type", "bridge"], check=True)
    try:
        subprocess.run([IP, "address", "add", address, "dev", "afi-test"], check=True)
        subprocess.run([IP, "link", "set", "afi-test", "up"], check=True)
        second.good("engine.start")
        addresses = state.saved_setting(folders, "addresses")
        assert addresses != taken
        shown = subprocess.run(
            [IP, "-brief", "address", "show", folders.bridge],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert addresses.replace(".0/20", ".1/24") in shown
        project = second.copy(tmp_path / "project")
        (project.root / "Dockerfile.ci").write_text(
            "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN apt-get -o Acquire::Retries=0 update\n"
        )
        stand_ins.ensure_python(engine, "3.11", ["amd64"], print)
        base = f"{engine.registry}/debian-python:{{python}}"
        project.good("image.build", "--python", "3.11", "--base-image", base)
    finally:
        subprocess.run([IP, "link", "delete", "afi-test"], check=True)
