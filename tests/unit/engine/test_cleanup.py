from __future__ import annotations

from pathlib import Path

import pytest

from build_tasks import process
from build_tasks.engine import cleanup, emulation, firewall, machine, network, processes
from build_tasks.engine.processes import Found
from build_tasks.engine.state import Daemon, Folders
from build_tasks.errors import CommandError
from build_tasks.process import Command, Completed


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    monkeypatch.setattr(Folders, "run", tmp_path / "run")
    monkeypatch.setattr(machine, "restore", lambda: None)
    return Folders(tmp_path / "engine")


def test_everything_that_is_left_is_removed_and_named(
    where: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    where.run.mkdir()
    where.removed.mkdir()
    monkeypatch.setattr(processes, "end", lambda _: [Found("dockerd", Daemon(7, 1))])
    monkeypatch.setattr(emulation, "disable", lambda name, _: name == "arm64")
    monkeypatch.setattr(network, "bridges", lambda _: ["afi-1", "afb-2"])
    monkeypatch.setattr(network, "remove_bridge", lambda name: name == "afi-1")

    def refused(*_: object) -> None:
        raise CommandError("no iptables")

    monkeypatch.setattr(firewall, "close_for", refused)
    assert cleanup.remove(where) == [
        "stopped dockerd (7)",
        "ended the emulation of arm64",
        "removed the bridge afi-1",
    ]
    assert not where.run.exists()
    assert not where.removed.exists()


def test_nothing_is_removed_where_nothing_is(where: Folders) -> None:
    assert cleanup.remove(where) == []
    assert cleanup.purge(where) == []


def test_half_of_a_purged_folder_is_never_taken_for_an_engines(
    where: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    (where.home / "packages/unstable/usr").mkdir(parents=True)

    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            cleanup.purge(where)
    assert not where.home.exists()
    assert where.removed.exists()
    cleanup.remove(where)
    assert not where.removed.exists()


def test_a_folder_that_cannot_be_renamed_is_removed_where_it_is(
    where: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    where.home.mkdir()

    def busy(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(Path, "rename", busy)
    assert cleanup.purge(where) == [f"removed {where.home}"]
    assert not where.home.exists()


def test_only_an_engines_own_mounts_are_unmounted_the_innermost_first(
    where: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = f"{where.home}/data"
    lines = [
        f"1 0 0:1 {data} {data} rw - ext4 /dev/vda rw",
        f"2 1 0:2 / {data}/x\\040y rw - overlay overlay rw",
        f"3 1 0:2 / {data}/x\\040y/z rw - overlay overlay rw",
        f"4 0 0:3 / {where.run}/exec/netns/1 rw - nsfs nsfs rw",
        "5 0 0:4 / /home rw - ext4 /dev/vdb rw",
        f"6 0 0:5 / {where.home}/database rw - ext4 /dev/vdb rw",
    ]
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "\n".join(lines))
    ran: list[Command] = []

    def run(command: Command, **_: object) -> Completed:
        ran.append(command)
        return Completed(command, 0, "", "")

    monkeypatch.setattr(process, "run", run)
    cleanup._unmount(where)
    targets = [f"{where.run}/exec/netns/1", f"{data}/x y/z", f"{data}/x y", data]
    assert [command[-1] for command in ran] == targets
    ran.clear()
    lines[:] = [f"1 0 0:1 / {data} rw - ext4 /dev/vdb rw"]  # a disk of the user's
    cleanup._unmount(where)
    assert not ran


def test_the_bridges_of_builders_are_known_by_their_notes(
    where: Folders, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(network, "_NETWORKS", tmp_path / "net")
    for name in (where.bridge, "afb-01234567", "eth0"):
        (tmp_path / "net" / name).mkdir(parents=True)
    for name, text in (("a", "afb-01234567\n"), ("b", "eth0\n"), ("c", "")):
        note = where.home / f"data/volumes/{name}/_data/bridge"
        note.parent.mkdir(parents=True)
        note.write_text(text)
    assert network.bridges(where) == [where.bridge, "afb-01234567"]
