from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from build_tasks.engine import processes
from build_tasks.engine.folders import Folders
from build_tasks.engine.processes import Process

FOLDERS = Folders(Path("/cache/my engine"))


@dataclass(frozen=True)
class Table:
    """A process table in a folder."""

    folder: Path

    def add(
        self,
        pid: int,
        name: str = "sleep",
        *,
        parent: int = 1,
        marked: Path | None = None,
        root: str = "",
    ) -> None:
        process = self.folder / str(pid)
        (process / "ns").mkdir(parents=True)
        fields = ["Z" if name == "zombie" else "S", str(parent), *["0"] * 17, str(pid * 10)]
        (process / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}")
        text = f"HOME=/\0{processes.MARKER}={marked}\0" if marked else "HOME=/\0"
        (process / "environ").write_bytes(text.encode())
        (process / "ns/mnt").symlink_to("mnt:[2]" if root else "mnt:[1]")
        mounts = f"22 1 0:1 / /proc rw - proc proc rw\n23 1 0:40 / / rw - overlay overlay {root}\n"
        (process / "mountinfo").write_text(mounts)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    monkeypatch.setattr(processes, "_PROC", tmp_path)
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/mnt").symlink_to("mnt:[1]")
    return Table(tmp_path)


def pids(found: Iterable[Process]) -> set[int]:
    return {process.pid for process in found}


def test_processes_are_found_by_their_variable(table: Table) -> None:
    table.add(10, "dockerd", marked=FOLDERS.home)
    table.add(11, "apt-get", marked=FOLDERS.home / "packages")
    table.add(12, "dockerd", marked=Path("/cache/my engine2"))
    table.add(13)
    assert processes.find(FOLDERS)[0] == Process(10, 100)
    assert str(processes.find(FOLDERS)[0]) == "dockerd (10)"
    assert pids(processes.find(FOLDERS)) == {10, 11}


def test_descendants_are_found_without_this_process_and_its_ancestors(table: Table) -> None:
    table.add(10, "containerd-shim", marked=FOLDERS.home)
    table.add(11, parent=10)
    table.add(12, parent=11)
    table.add(13, "zombie", parent=12)
    table.add(20, "sh", marked=FOLDERS.home)
    table.add(os.getpid(), parent=20)
    assert pids(processes.find(FOLDERS)) == {10, 11, 12}


def test_processes_in_containers_are_found_by_their_root_file_system(table: Table) -> None:
    escaped = str(FOLDERS.home).replace(" ", r"\040")
    table.add(10, root=f"rw,lowerdir=x,upperdir={escaped}/data/containerd/1/fs")
    table.add(11, root="rw,lowerdir=x,upperdir=/var/lib/docker/1/fs")
    table.add(12, root="rw,lowerdir=x,upperdir=/cache/my\\040engine/database/1/fs")
    assert pids(processes.find(FOLDERS)) == {10}


def test_a_process_that_has_just_ended_is_not_found(table: Table) -> None:
    table.add(10, marked=FOLDERS.home)
    table.add(11, root="rw,upperdir=/x")
    (table.folder / "10/environ").unlink()
    (table.folder / "11/mountinfo").unlink()
    table.add(13)
    (table.folder / "13/ns/mnt").unlink()
    assert processes.find(FOLDERS) == []
    table.add(12, marked=FOLDERS.home)
    (table.folder / "12/stat").unlink()
    (table.folder / "12/ns/mnt").unlink()
    assert processes.find(FOLDERS) == []


def test_daemons_are_ended_first_and_what_they_leave_is_killed(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.add(10, "dockerd", marked=FOLDERS.home)
    table.add(11, "containerd", marked=FOLDERS.home)
    table.add(12, "sh", root=f"rw,upperdir={FOLDERS.home}/data/1")
    ended: list[tuple[set[int], signal.Signals]] = []

    def end(found: Iterable[Process], first: signal.Signals = signal.SIGTERM) -> None:
        gone = pids(found)
        ended.append((gone, first))
        for pid in gone:
            (table.folder / str(pid) / "stat").unlink()

    monkeypatch.setattr(processes, "terminate", end)
    assert [process.name for process in processes.end(FOLDERS)] == ["dockerd", "containerd"]
    assert ended == [({10}, signal.SIGTERM), ({11, 12}, signal.SIGKILL)]
    assert processes.end(FOLDERS) == []


def test_ending_gives_up_after_some_rounds(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    table.add(10, marked=FOLDERS.home)
    tried: list[signal.Signals] = []

    def end(_found: object, first: signal.Signals = signal.SIGTERM) -> None:
        tried.append(first)

    monkeypatch.setattr(processes, "terminate", end)
    processes.end(FOLDERS)
    assert tried == [signal.SIGTERM, *[signal.SIGKILL] * 5]


def test_only_the_orphans_of_a_folder_are_ended(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.add(10, "apt-get", marked=FOLDERS.home / "packages")
    table.add(11, "http", parent=10)
    table.add(12, "dockerd", marked=FOLDERS.home)
    ended: list[int] = []
    monkeypatch.setattr(
        processes, "terminate", lambda found: ended.extend(process.pid for process in found)
    )
    processes.end_orphans(FOLDERS.home / "packages")
    assert ended == [10, 11]


def test_a_process_id_that_was_reused_is_another_process() -> None:
    own = Process.of(os.getpid())
    assert own.alive
    assert not Process(own.pid, own.started + 1).alive
    assert not Process(4_194_304, 0).alive
    processes.terminate([Process(own.pid, own.started + 1)])  # and is not ended


def test_a_process_that_ignores_sigterm_is_killed(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.add(10)
    table.add(11)
    signals: list[tuple[int, signal.Signals]] = []

    def kill(pid: int, signum: signal.Signals) -> None:
        signals.append((pid, signum))
        if pid == 11 or signum == signal.SIGKILL:
            (table.folder / str(pid) / "stat").unlink()
        if pid == 11:
            raise ProcessLookupError

    monkeypatch.setattr(processes, "GRACE", 0.01)
    monkeypatch.setattr(os, "kill", kill)
    processes.terminate([Process(10, 100), Process(11, 110)])
    assert signals == [(10, signal.SIGTERM), (11, signal.SIGTERM), (10, signal.SIGKILL)]
