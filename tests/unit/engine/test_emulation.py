from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from build_tasks import process
from build_tasks.engine import emulation
from build_tasks.errors import EngineError
from build_tasks.process import Command, Completed

ID = "0123abcd"


@pytest.fixture(autouse=True)
def binfmt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The kernel's table of emulators, not mounted."""
    binfmt = tmp_path / "binfmt"
    binfmt.mkdir()
    monkeypatch.setattr(emulation, "_BINFMT", binfmt)
    monkeypatch.setattr(emulation, "_MOUNT_NOTE", tmp_path / "note")
    return binfmt


def test_an_emulator_is_registered_and_removed(
    programs: Callable[..., object], binfmt: Path, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    programs(mount=(32, "", "mount: unknown filesystem type\n"))
    with pytest.raises(EngineError, match="the kernel has no binfmt_misc: mount: unknown"):
        emulation.enable(root, "arm64", ID, print)
    (binfmt / "register").touch()
    with pytest.raises(EngineError, match="package of qemu has no qemu-aarch64"):
        emulation.enable(root, "arm64", ID, print)
    conf = root / "usr/lib/binfmt.d/qemu-aarch64.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text(":qemu-aarch64:M::\\x7f:\\xff:/usr/bin/qemu:OP\n")
    emulation.enable(root, "arm64", ID, print)
    rule = (binfmt / "register").read_text()
    assert rule == f":qemu-aarch64-afi-{ID}:M::\\x7f:\\xff:{root}/usr/bin/qemu:OPF"
    (binfmt / f"qemu-aarch64-afi-{ID}").write_text("enabled\n")
    emulation.enable(root, "arm64", ID, pytest.fail)
    assert emulation.emulated() == ("arm64",)
    assert emulation.disable("ffffffff") == []
    assert emulation.disable(ID) == ["arm64"]
    assert (binfmt / f"qemu-aarch64-afi-{ID}").read_text() == "-1"


@pytest.mark.parametrize(
    ("entry", "status", "registers"),
    [
        ("qemu-aarch64", "enabled", False),  # the machine's own lasts
        ("qemu-aarch64", "disabled", True),
        ("qemu-aarch64-afi-ffffffff", "enabled", True),  # another engine's does not
    ],
)
def test_an_emulator_is_registered_unless_one_lasts(
    monkeypatch: pytest.MonkeyPatch, binfmt: Path, entry: str, status: str, *, registers: bool
) -> None:
    monkeypatch.setattr(emulation, "_registration", lambda *_: b"x")
    (binfmt / "register").touch()
    (binfmt / entry).write_text(f"{status}\n")
    assert emulation.emulated() == (("arm64",) if status == "enabled" else ())
    emulation.enable(Path("/root"), "arm64", ID, print)
    assert bool((binfmt / "register").read_text()) == registers


def test_a_kernel_that_refuses_an_emulator_is_one_line(
    monkeypatch: pytest.MonkeyPatch, binfmt: Path
) -> None:
    (binfmt / "register").mkdir()
    monkeypatch.setattr(emulation, "_registration", lambda *_: b"x")
    with pytest.raises(EngineError, match="the kernel refuses to emulate arm64: "):
        emulation.enable(Path("/root"), "arm64", ID, print)


def test_the_table_of_emulators_is_unmounted_when_it_is_empty(
    binfmt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[Command] = []

    def run(command: Command, **_: object) -> Completed:
        commands.append(command)
        (binfmt / "register").touch()
        return Completed(command, 0, "", "")

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(emulation, "_registration", lambda *_: b"x")
    emulation.enable(Path("/root"), "arm64", ID, print)
    emulation.enable(Path("/root"), "arm64", ID, print)
    assert commands == [("mount", "-t", "binfmt_misc", "binfmt_misc", str(binfmt))]
    (binfmt / "qemu-aarch64").touch()
    emulation.disable(ID)
    assert len(commands) == 1
    (binfmt / "qemu-aarch64").unlink()
    emulation.disable(ID)
    emulation.disable(ID)
    assert commands[1:] == [("umount", str(binfmt))]
