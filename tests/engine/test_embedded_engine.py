"""The embedded engine: one however often it is started, nothing left when it is stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from suite import Suite, last, steps

from build_tasks.engine import bases, emulation, handle, packages, state
from build_tasks.engine import processes as procs
from build_tasks.engine.handle import Embedded

IP = "/usr/sbin/ip"


@pytest.fixture
def second(suite: Suite, engine: Embedded, tmp_path: Path) -> Iterator[Suite]:
    """The suite with another engine, whose packages need not be fetched again."""
    folder = tmp_path / "cache"
    (folder / "engine").mkdir(parents=True)
    (folder / "engine" / "packages").symlink_to(state.folders().home / "packages")
    # The user of this one has logged in to the other's registry.
    known = engine.environment["DOCKER_CONFIG"]
    yield suite.having(AIRFLOW_IMAGES_CACHE=str(folder), DOCKER_CONFIG=known)
    suite.having(AIRFLOW_IMAGES_CACHE=str(folder)).good("engine.stop")


def folders(suite: Suite) -> state.Folders:
    return state.Folders(Path(suite.environment["AIRFLOW_IMAGES_CACHE"]) / "engine")


def seen(suite: Suite) -> state.Running:
    running = state.read(folders(suite))
    assert running
    return running


def links() -> set[str]:
    """Return the names of this machine's networks; their states change with who is running."""
    return {path.name for path in Path("/sys/class/net").iterdir()}


def rules() -> str:
    root = state.folders().root("unstable")
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


def others(names: Iterable[str]) -> set[str]:
    """Return what is no engine's: those of this machine come and go beside the tests."""
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


def test_starting_twice_is_harmless_and_stopping_leaves_nothing(second: Suite) -> None:
    where = folders(second)
    before = (others(links()), others(rules().splitlines()))
    second.good("engine.start")
    first = seen(second)
    assert where.bridge in links()
    second.good("engine.start")
    assert seen(second) == first
    status = second.good("engine.status", "--json").stdout
    assert f'"registry": "{first.registry}"' in status
    stopped = second.good("engine.stop").stderr
    assert f"stopped dockerd ({first.daemons['dockerd'].pid})" in stopped
    assert f"removed the bridge {where.bridge}" in stopped
    assert where.bridge not in links()
    assert where.bridge not in rules()
    assert (others(links()), others(rules().splitlines())) == before
    assert processes(where.home) == []
    assert processes(where.run) == []
    assert not where.run.exists()
    mounts = Path("/proc/self/mounts").read_text()
    assert str(where.run) not in mounts
    assert str(where.home) not in mounts
    assert last(second.good("engine.stop").stderr) == "the embedded engine does not run"


def test_many_starts_at_once_give_one_engine(second: Suite) -> None:
    starts = [second.start("invoke", "engine.start") for _ in range(4)]
    for process in starts:
        with process:
            _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    where = folders(second)
    assert len([words for words in processes(where.home) if "dockerd" in words.split()[0]]) == 1
    assert len([words for words in processes(where.home) if "docker-registry" in words]) == 1


def test_an_engine_that_crashed_is_mended_and_the_others_bridge_stays(
    second: Suite, suite: Suite
) -> None:
    second.good("engine.start")
    broken = seen(second)
    (containerd,) = (
        found.process for found in procs.find(folders(second)) if found.name == "containerd"
    )
    os.kill(broken.daemons["dockerd"].pid, signal.SIGKILL)
    os.kill(broken.daemons["registry"].pid, signal.SIGKILL)
    subprocess.run([IP, "link", "delete", folders(second).bridge], check=True)
    assert "'running': False" not in second.good("engine.start").stderr
    mended = seen(second)
    assert mended.registry == broken.registry  # image names carry it
    assert mended.daemons != broken.daemons
    second.good("engine.stop")
    assert not state.alive(containerd)
    assert str(folders(second).home) not in Path("/proc/self/mounts").read_text()
    assert folders(suite).bridge in links()
    suite.engine("info")


def test_an_interrupted_start_leaves_nothing(second: Suite) -> None:
    where = folders(second)
    process = second.start("invoke", "engine.start")
    with process:
        deadline = time.monotonic() + 60
        while not (where.run / "docker.pid").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "Traceback" not in err
    assert processes(where.home) == []
    assert where.bridge not in links()


def test_purging_removes_what_the_engine_keeps(second: Suite) -> None:
    where = folders(second)
    second.good("engine.start")
    second.good("engine.stop", "--purge")
    assert not where.home.exists()
    assert (state.folders().home / "packages" / "unstable").exists()  # the link's target stays


@pytest.mark.nightly
def test_the_older_engine_and_buildx_do_the_job(
    suite: Suite, engine: Embedded, tmp_path: Path
) -> None:
    """docker.io 26.1 with buildx 0.13: what the suite needs works on both."""
    cache = Path(suite.environment["AIRFLOW_IMAGES_CACHE"]).with_name("tests-trixie")
    old = suite.having(AIRFLOW_IMAGES_CACHE=str(cache), AIRFLOW_IMAGES_ENGINE_RELEASE="trixie")
    old.good("engine.start")
    try:
        running = seen(old)
        root = folders(old).root("trixie")
        assert running.release == "trixie"
        docker = (str(root / "usr/bin/docker"), "--host", f"unix://{folders(old).socket}")
        old = Suite(old.environment, docker=docker)
        assert old.engine("version", "--format", "{{.Server.Version}}").startswith("26.1.")
        plugin = str(handle.plugin(root))
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
        assert last(failed.stderr) == "ci-3.11-amd64: step [2/2] RUN exit 3 failed with exit code 3"
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
    foretold = json.loads(old.good("cache.prune", "--dry-run", "--json").stdout)
    freed = json.loads(old.good("cache.prune", "--json").stdout)
    assert foretold["types"] == freed["types"]
    left = json.loads(old.good("cache.usage", "--local", "--json").stdout)["builders"][0]
    assert abs(kept["bytes"] - left["bytes"] - freed["bytes"]) <= kept["bytes"] * 0.01
    ceiling = old.invoke("cache.prune", "--max-used-space", "1GB")
    assert ceiling.returncode == 3
    assert "buildx 0.13.1 has no ceilings" in last(ceiling.stderr)


def inspect(suite: Suite, engine: Embedded, *words: str) -> str:
    """Ask the registry, with buildx."""
    plugin = replace(suite, docker=(str(engine.buildx),))
    return plugin.engine("imagetools", "inspect", *words)


@pytest.mark.skipif(not emulation.native("amd64"), reason="emulates arm64 on amd64")
def test_arm64_is_emulated_and_the_base_holds_both(suite: Suite, engine: Embedded) -> None:
    amd64 = f"{bases.reference(engine, '3.11')}-amd64"
    bases.ensure(engine, "3.11", ["amd64"], print)
    digest = "{{json .Manifest.Digest}}"
    before = inspect(suite, engine, "--format", digest, amd64)
    suite.good("engine.start", "--emulate", "arm64")
    name = bases.ensure(engine, "3.11", ["arm64"], print)
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
def test_an_engines_emulation_comes_and_goes_with_it_and_disturbs_no_build(
    second: Suite, engine: Embedded, tmp_path: Path
) -> None:
    where = folders(second)
    mine = f"qemu-aarch64-afi-{where.short}"
    before = emulators()
    second.good("engine.start")
    # As if the machine had emulated nothing when dockerd started, whatever the other engine did.
    state.write(where, replace(seen(second), foreign=()))
    first = seen(second).daemons["dockerd"]
    project = second.copy(tmp_path / "project")
    (project.root / "Dockerfile.ci").write_text(
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN sleep 12; echo $RANDOM\n"
    )
    base = f"{engine.registry}/debian-python:{{python}}"
    build = ("invoke", "image.build", "--python", "3.11", "--base-image", base)
    emulate = ("engine.start", "--emulate", "arm64")
    for restarts in (True, False):
        with project.start(*build, "--cache", "disabled") as building:
            deadline = time.monotonic() + 60
            while not any(words.startswith("sleep 12") for words in processes(Path("sleep 12"))):
                assert time.monotonic() < deadline, "the step never began"
                time.sleep(0.1)
            said = second.good(*emulate).stderr
            assert (building.poll() is not None) == restarts
            _, err = building.communicate(timeout=120)
        assert building.returncode == 0, err[-2000:]
        assert ("waiting for builds and containers to end" in said) == restarts
    assert seen(second).daemons["dockerd"] != first
    assert seen(second).foreign == ("arm64",)
    lasting = {name for name in before if "-afi-" not in name}
    assert emulators() == before | (set() if lasting else {mine})
    plugin = str(handle.plugin(where.root(seen(second).release)))
    described = subprocess.run(
        [plugin, "inspect", "default"],
        env={**second.environment, "DOCKER_HOST": f"unix://{where.socket}"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "linux/arm64" in described
    stopped = second.good("engine.stop").stderr
    assert ("ended the emulation of arm64" in stopped) == (not lasting)
    assert emulators() == before


def test_an_engine_whose_network_was_taken_meanwhile_still_reaches_the_network(
    second: Suite, engine: Embedded, tmp_path: Path
) -> None:
    """A defect once found: dockerd gave the bridge its addresses of before, the rules did not."""
    where = folders(second)
    second.good("engine.start")
    taken = state.remembered(where, "network")
    second.good("engine.stop")
    address = taken.replace(".0/24", ".9/24")
    subprocess.run([IP, "link", "add", "afi-test", "type", "bridge"], check=True)
    try:
        subprocess.run([IP, "address", "add", address, "dev", "afi-test"], check=True)
        subprocess.run([IP, "link", "set", "afi-test", "up"], check=True)
        second.good("engine.start")
        network = state.remembered(where, "network")
        assert network != taken
        shown = subprocess.run(
            [IP, "-brief", "address", "show", where.bridge],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert network.replace(".0/24", ".1/24") in shown
        project = second.copy(tmp_path / "project")
        (project.root / "Dockerfile.ci").write_text(
            "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN apt-get -o Acquire::Retries=0 update\n"
        )
        bases.ensure(engine, "3.11", ["amd64"], print)
        base = f"{engine.registry}/debian-python:{{python}}"
        project.good("image.build", "--python", "3.11", "--base-image", base)
    finally:
        subprocess.run([IP, "link", "delete", "afi-test"], check=True)
