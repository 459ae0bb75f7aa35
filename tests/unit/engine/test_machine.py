from __future__ import annotations

from pathlib import Path

import pytest

from build_tasks import process
from build_tasks.engine import machine
from build_tasks.errors import EngineError
from build_tasks.process import Command, Completed


@pytest.fixture
def forward(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine that forwards nothing and has no bridge."""
    forward = tmp_path / "ip_forward"
    forward.write_text("0\n")
    for name in ("run", "networks", "binfmt"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(machine, "_FORWARD", forward)
    monkeypatch.setattr(machine, "_NETWORKS", tmp_path / "networks")
    monkeypatch.setattr(machine, "_RUN", tmp_path / "run")
    monkeypatch.setattr(machine, "BINFMT", tmp_path / "binfmt")
    return forward


def bridge(forward: Path, name: str) -> Path:
    path = forward.with_name("networks") / name / "bridge"
    path.mkdir(parents=True)
    return path


def test_forwarding_is_set_back_by_the_last_engine(forward: Path) -> None:
    machine.forward_packets()
    machine.forward_packets()
    assert forward.read_text() == "1"
    other = bridge(forward, "afi-00000000")
    machine.restore()
    assert forward.read_text() == "1"
    other.rmdir()
    machine.restore()
    assert forward.read_text() == "0"
    assert not [*forward.with_name("run").iterdir()]


def test_forwarding_stays_on_where_something_else_needs_it(forward: Path) -> None:
    machine.forward_packets()
    bridge(forward, "docker0")
    machine.restore()
    assert forward.read_text() == "1"
    assert not [*forward.with_name("run").iterdir()]


def test_forwarding_that_was_on_stays_on(forward: Path) -> None:
    forward.write_text("1\n")
    machine.forward_packets()
    machine.restore()
    assert forward.read_text() == "1\n"


def test_a_start_that_was_killed_before_it_forwarded_leaves_nothing(
    forward: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            machine.forward_packets()
    machine.restore()
    assert forward.read_text() == "0"
    assert not [*forward.with_name("run").iterdir()]


def test_the_table_of_emulators_is_unmounted_when_nobody_has_one(
    forward: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = forward.with_name("binfmt")
    ran: list[Command] = []

    def run(command: Command, **_: object) -> Completed:
        ran.append(command)
        (table / "register").touch()
        return Completed(command, 0, "", "")

    monkeypatch.setattr(process, "run", run)
    machine.mount_binfmt()
    machine.mount_binfmt()
    assert ran == [("mount", "-t", "binfmt_misc", "binfmt_misc", str(table))]
    (table / "qemu-aarch64").touch()
    machine.restore()
    assert len(ran) == 1
    (table / "qemu-aarch64").unlink()
    machine.restore()
    machine.restore()
    assert ran[1:] == [("umount", str(table))]


def test_a_kernel_without_emulators_is_one_line(
    forward: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = Completed((), 32, "", "mount: unknown filesystem type\n")
    monkeypatch.setattr(process, "run", lambda *_, **__: ended)
    with pytest.raises(EngineError, match="the kernel has no binfmt_misc: mount: unknown"):
        machine.mount_binfmt()
