from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from build_tasks.engine import (
    credentials,
    daemons,
    emulation,
    lifecycle,
    network,
    packages,
    processes,
    registry,
    state,
)
from build_tasks.engine.folders import Folders, engine_folders
from build_tasks.engine.processes import Process
from build_tasks.engine.registry import Superseded
from build_tasks.engine.state import EngineState
from build_tasks.errors import EngineError
from build_tasks.process import Command, locks

Programs = Callable[..., list[Command]]
OWN = Process.of(os.getpid())


unmount = lifecycle._unmount


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, folders: Folders) -> None:
    """A machine on which nothing runs and nothing can be changed."""
    monkeypatch.setattr(processes, "end", lambda _: [])
    monkeypatch.setattr(processes, "find", lambda _: [])
    monkeypatch.setattr(emulation, "disable", lambda _: [])
    monkeypatch.setattr(network, "remove", lambda *_: [])
    monkeypatch.setattr(lifecycle, "_unmount", lambda _: None)


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch, folders: Folders) -> list[str]:
    """The steps of a start, which all succeed."""
    steps: list[str] = []

    def step(name: str, result: object) -> Callable[..., object]:
        def run(*_: object, **__: object) -> object:
            steps.append(name)
            return result

        return run

    for module in (lifecycle, state):
        monkeypatch.setattr(module, "engine_folders", lambda: folders)
    monkeypatch.setattr(packages, "check_supported", lambda: None)
    monkeypatch.setattr(packages, "prepare", lambda *_: ("unstable", Path("/packages")))
    monkeypatch.setattr(packages, "unpack", step("unpack", Path("/packages")))
    monkeypatch.setattr(network, "create", step("network", None))
    monkeypatch.setattr(daemons, "start_dockerd", step("dockerd", OWN))
    monkeypatch.setattr(daemons, "start_registry", step("registry", OWN))
    monkeypatch.setattr(daemons, "wait_until_idle", step("wait", None))
    monkeypatch.setattr(processes, "terminate", step("terminate", None))
    monkeypatch.setattr(credentials, "configure", step("credentials", None))
    monkeypatch.setattr(emulation, "native", lambda name: name == "amd64")
    monkeypatch.setattr(emulation, "emulated", lambda: ())
    monkeypatch.setattr(emulation, "enable", step("emulate", None))
    return steps


def test_an_engine_is_started_once(starts: list[str], programs: Programs) -> None:
    programs()
    engine = lifecycle.start(announce=print)
    assert engine.registry.startswith("127.0.0.1:")
    assert engine.hub
    assert starts == ["network", "dockerd", "registry", "credentials"]
    assert lifecycle.start(announce=pytest.fail, emulate=["amd64"]) == engine
    assert lifecycle.status()["running"] is True
    assert len(starts) == 4


def test_two_engines_that_start_at_once_choose_different_ports(
    starts: list[str], folders: Folders, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_port = network.free_port
    locked: list[str] = []

    def check_lock(step: str, result: object) -> object:
        run = os.open(folders.run.parent, os.O_RDONLY)
        try:
            with pytest.raises(BlockingIOError):  # no other engine can be at this step
                fcntl.flock(run, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(run)
        locked.append(step)
        return result

    programs()
    monkeypatch.setattr(network, "free_port", lambda port: check_lock("port", free_port(port)))
    monkeypatch.setattr(daemons, "start_registry", lambda *_: check_lock("registry", OWN))
    lifecycle.start(announce=print)
    assert locked == ["port", "registry"]


def test_an_engine_is_returned_though_another_process_stops_it_next(
    starts: list[str], programs: Programs, monkeypatch: pytest.MonkeyPatch, folders: Folders
) -> None:
    hold = locks.hold

    @contextlib.contextmanager
    def stopped_next(*arguments: Any) -> Iterator[None]:
        with hold(*arguments):
            yield
        state.clear(folders)

    programs()
    monkeypatch.setattr(locks, "hold", stopped_next)
    assert lifecycle.start(announce=print).registry
    assert state.running() is None


@pytest.mark.parametrize("code", [0, 1])
def test_the_engine_knows_whether_docker_hub_answers(
    starts: list[str], programs: Programs, code: int
) -> None:
    programs(docker_buildx=(code, "", "no route"))
    assert lifecycle.start(announce=print).hub == (code == 0)


def test_a_failed_start_is_undone(
    starts: list[str], monkeypatch: pytest.MonkeyPatch, folders: Folders
) -> None:
    def fail(*_: object) -> None:
        raise EngineError("dockerd does not start")

    folders.run.mkdir()
    monkeypatch.setattr(daemons, "start_dockerd", fail)
    with pytest.raises(EngineError, match="dockerd does not start"):
        lifecycle.start(announce=print)
    assert not folders.run.exists()


def test_an_engine_that_ends_at_once_is_an_error(
    starts: list[str], programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs()
    monkeypatch.setattr(EngineState, "complete", False)
    with pytest.raises(EngineError, match="ended at once"):
        lifecycle.start(announce=print)


def test_dockerd_restarts_for_an_architecture_that_it_does_not_know(
    starts: list[str], programs: Programs, monkeypatch: pytest.MonkeyPatch, folders: Folders
) -> None:
    programs()
    lifecycle.start(announce=print)
    starts.clear()
    monkeypatch.setattr(emulation, "emulated", lambda: ("arm64",))
    monkeypatch.setattr(emulation, "lasts", lambda *_: False)
    lifecycle.start(announce=print, emulate=["arm64"])
    assert starts == ["unpack", "emulate", "wait", "terminate", "dockerd"]
    record = state.read(folders)
    assert record
    assert record.foreign == ("arm64",)
    starts.clear()
    lifecycle.start(announce=print, emulate=["arm64"])
    assert starts == ["unpack", "emulate"], "dockerd knows it; the emulator was another engine's"


def test_no_engine_runs_in_an_empty_folder() -> None:
    assert lifecycle.status()["running"] is False
    assert lifecycle.stop(announce=print) == []
    assert lifecycle.stop(announce=print, purge=True) == []


def test_everything_that_is_left_is_removed_and_named(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders.run.mkdir()
    folders.removed.mkdir()
    monkeypatch.setattr(processes, "end", lambda _: [Process(7, 1, "dockerd")])
    monkeypatch.setattr(emulation, "disable", lambda _: ["arm64"])
    monkeypatch.setattr(network, "remove", lambda *_: ["afi-1"])
    assert lifecycle.remove_leftovers(folders) == [
        "stopped dockerd (7)",
        "disabled the emulation of arm64",
        "removed the bridge afi-1",
    ]
    assert not folders.run.exists()
    assert not folders.removed.exists()
    assert lifecycle.remove_leftovers(folders)[1:] == [
        "disabled the emulation of arm64",
        "removed the bridge afi-1",
    ]


def test_a_stop_removes_the_folder_only_if_it_is_told_to() -> None:
    home = engine_folders().home
    home.mkdir(parents=True)
    assert lifecycle.stop(announce=print) == []
    assert home.exists()
    assert lifecycle.stop(announce=print, purge=True) == [f"removed {home}"]
    assert not home.exists()


def test_a_half_removed_folder_is_not_taken_for_an_engines(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folders.home / "packages/unstable/usr").mkdir(parents=True)

    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            lifecycle._purge(folders)
    assert not folders.home.exists()
    assert folders.removed.exists()
    lifecycle.remove_leftovers(folders)
    assert not folders.removed.exists()
    assert lifecycle._purge(folders) == []


def test_a_folder_that_cannot_be_renamed_is_removed_in_place(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders.home.mkdir()

    def busy(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(Path, "rename", busy)
    assert lifecycle._purge(folders) == [f"removed {folders.home}"]
    assert not folders.home.exists()


def test_pruning_removes_only_if_nobody_else_uses_the_registry(
    starts: list[str], programs: Programs, monkeypatch: pytest.MonkeyPatch, folders: Folders
) -> None:
    everything = Superseded((("a", "sha256:1"),), 7)
    removed: list[float] = []

    def remove(*_: object, **__: object) -> Superseded:
        removed.append(1)
        return everything

    monkeypatch.setattr(registry, "superseded", lambda *_: everything)
    monkeypatch.setattr(registry, "remove_superseded", remove)
    assert lifecycle.prune(announce=print) == everything, "the engine does not run"
    programs()
    lifecycle.start(announce=print)
    assert lifecycle.prune(announce=print, dry=True) == everything
    assert not removed
    assert lifecycle.prune(announce=print) == everything
    assert removed
    other = os.open(folders.registry_lock, os.O_RDWR)  # as another process would
    try:
        fcntl.flock(other, fcntl.LOCK_SH)
        monkeypatch.setattr(lifecycle, "_PRUNING", 0)
        monkeypatch.setattr(locks, "PATIENCE", 0)
        assert lifecycle.prune(announce=print) is None
    finally:
        os.close(other)
    assert len(removed) == 1


def test_only_the_engines_own_mounts_are_unmounted_innermost_first(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, programs: Programs
) -> None:
    data = f"{folders.home}/data"
    lines = [
        f"1 0 0:1 {data} {data} rw - ext4 /dev/vda rw",
        f"2 1 0:2 / {data}/x\\040y rw - overlay overlay rw",
        f"3 1 0:2 / {data}/x\\040y/z rw - overlay overlay rw",
        f"4 0 0:3 / {folders.run}/exec/netns/1 rw - nsfs nsfs rw",
        "5 0 0:4 / /home rw - ext4 /dev/vdb rw",
        f"6 0 0:5 / {folders.home}/database rw - ext4 /dev/vdb rw",
    ]
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "\n".join(lines))
    commands = programs()
    unmount(folders)
    targets = [f"{data}/x y/z", f"{data}/x y", data, f"{folders.run}/exec/netns/1"]
    assert [command[-1] for command in commands] == targets
    commands.clear()
    lines[:] = [f"1 0 0:1 / {data} rw - ext4 /dev/vdb rw"]  # a disk of the user's
    unmount(folders)
    assert not commands
