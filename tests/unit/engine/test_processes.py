from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from build_tasks.engine import processes, state
from build_tasks.engine.processes import Found
from build_tasks.engine.state import Daemon, Folders

WHERE = Folders(Path("/cache/my engine"))


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


def pids(found: Iterable[Found]) -> set[int]:
    return {one.process.pid for one in found}


def test_a_process_of_an_engine_is_known_by_its_variable(table: Table) -> None:
    table.add(10, "dockerd", marked=WHERE.home)
    table.add(11, "apt-get", marked=WHERE.home / "packages")
    table.add(12, "dockerd", marked=Path("/cache/my engine2"))
    table.add(13)
    assert processes.find(WHERE)[0] == Found("dockerd", Daemon(10, 100))
    assert str(processes.find(WHERE)[0]) == "dockerd (10)"
    assert pids(processes.find(WHERE)) == {10, 11}


@pytest.mark.parametrize("home", [b"/cache/my engine", b"/cache/caf\xe9"])
def test_a_program_of_an_older_versions_engine_is_known_by_its_files(
    table: Table, home: bytes
) -> None:
    where = Folders(Path(os.fsdecode(home)))
    words = {
        10: ("dockerd", f"{where.home}/daemon.json"),
        11: ("containerd-shim", f"{where.run}/exec/containerd/containerd.sock"),
        12: ("vi", f"{where.home}/daemon.json"),
        13: ("dockerd", "/etc/docker/daemon.json"),
        14: ("dockerd", f"{where.home}2/daemon.json"),
        15: ("dockerd", "-"),
    }
    for pid, (name, file) in words.items():
        table.add(pid, name)
        (table.folder / str(pid) / "cmdline").write_bytes(
            os.fsencode(f"{name}\0--config\0{file}\0")
        )
    (table.folder / "15/cmdline").unlink()
    assert pids(processes.find(where)) == {10, 11}


def test_what_it_started_is_found_with_it_but_not_who_asks(table: Table) -> None:
    table.add(10, "containerd-shim", marked=WHERE.home)
    table.add(11, parent=10)
    table.add(12, parent=11)
    table.add(13, "zombie", parent=12)
    table.add(20, "sh", marked=WHERE.home)
    table.add(os.getpid(), parent=20)
    assert pids(processes.find(WHERE)) == {10, 11, 12}


def test_a_containers_process_is_known_by_the_root_of_its_file_system(table: Table) -> None:
    escaped = str(WHERE.home).replace(" ", r"\040")
    table.add(10, root=f"rw,lowerdir=x,upperdir={escaped}/data/containerd/1/fs")
    table.add(11, root="rw,lowerdir=x,upperdir=/var/lib/docker/1/fs")
    table.add(12, root="rw,lowerdir=x,upperdir=/cache/my\\040engine/database/1/fs")
    assert pids(processes.find(WHERE)) == {10}


def test_a_process_that_has_just_ended_is_none(table: Table) -> None:
    table.add(10, marked=WHERE.home)
    table.add(11, root="rw,upperdir=/x")
    (table.folder / "10/environ").unlink()
    (table.folder / "11/mountinfo").unlink()
    assert processes.find(WHERE) == []
    table.add(12, marked=WHERE.home)
    (table.folder / "12/stat").unlink()
    (table.folder / "12/ns/mnt").unlink()
    assert processes.find(WHERE) == []


def test_daemons_are_asked_first_and_what_they_leave_is_killed(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.add(10, "dockerd", marked=WHERE.home)
    table.add(11, "containerd", marked=WHERE.home)
    table.add(12, "sh", root=f"rw,upperdir={WHERE.home}/data/1")
    ended: list[tuple[set[int], signal.Signals]] = []

    def end(found: Iterable[Daemon], first: signal.Signals = signal.SIGTERM) -> None:
        gone = {one.pid for one in found}
        ended.append((gone, first))
        for pid in gone:
            (table.folder / str(pid) / "stat").unlink()

    monkeypatch.setattr(state, "end", end)
    assert [found.name for found in processes.end(WHERE)] == ["dockerd", "containerd"]
    assert ended == [({10}, signal.SIGTERM), ({11, 12}, signal.SIGKILL)]
    assert processes.end(WHERE) == []


def test_what_cannot_be_ended_is_not_tried_for_ever(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.add(10, marked=WHERE.home)
    tried: list[signal.Signals] = []

    def end(_found: object, first: signal.Signals = signal.SIGTERM) -> None:
        tried.append(first)

    monkeypatch.setattr(state, "end", end)
    processes.end(WHERE)
    assert tried == [signal.SIGTERM, *[signal.SIGKILL] * 5]


def test_orphans_of_a_folder_are_ended_and_no_others(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.add(10, "apt-get", marked=WHERE.home / "packages")
    table.add(11, "http", parent=10)
    table.add(12, "dockerd", marked=WHERE.home)
    ended: list[int] = []
    monkeypatch.setattr(state, "end", lambda found: ended.extend(one.pid for one in found))
    processes.end_orphans(WHERE.home / "packages")
    assert ended == [10, 11]
