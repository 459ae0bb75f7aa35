"""Locks between processes."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest

from build_tasks.process import locks


def test_a_free_lock_is_taken_silently(tmp_path: Path) -> None:
    path = tmp_path / "folder/x.lock"
    lines: list[str] = []
    assert locks.holder(path) is None
    with locks.hold(path, "makes x", lines.append):
        assert locks.holder(path) == os.getpid()
    assert locks.holder(path) is None
    assert not lines


def test_a_wait_names_the_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    path = tmp_path / "x.lock"
    lines: list[str] = []
    waits = threading.Event()

    def announce(line: str) -> None:
        lines.append(line)
        waits.set()

    def wait() -> None:
        with locks.hold(path, "makes x", announce):
            pass

    thread = threading.Thread(target=wait)
    with locks.hold(path, "makes x", announce):
        thread.start()
        assert waits.wait(30)
    thread.join(30)
    assert lines == [f"waiting for process {os.getpid()}, which makes x"]


@pytest.mark.parametrize(
    ("line", "pid"),
    [
        ("1: FLOCK  ADVISORY  WRITE 77 fe:00:{inode} 0 EOF\n", 77),
        ("1: POSIX  ADVISORY  WRITE 77 fe:00:{inode} 0 EOF\n", None),
        ("1: FLOCK  ADVISORY  WRITE 0 fe:00:{inode} 0 EOF\n", None),
        ("1: FLOCK  ADVISORY  WRITE 77 fe:00:1 0 EOF\n", None),
    ],
)
def test_the_holder_is_read_from_proc_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, pid: int | None
) -> None:
    path = tmp_path / "x.lock"
    path.touch()
    held = tmp_path / "locks"
    held.write_text(line.format(inode=path.stat().st_ino))
    monkeypatch.setattr(locks, "_LOCKS", held)
    assert locks.holder(path) == pid


def other_process(path: Path, operation: int) -> int:
    """Hold a lock as another process does: by a descriptor of its own."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
    fcntl.flock(descriptor, operation)
    return descriptor


def test_a_shared_lock_is_held_alone_if_no_other_process_shares_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 0.0)
    path = tmp_path / "folder/x.lock"
    lines: list[str] = []
    locks.share(path, "prunes", lines.append)
    locks.share(path, "prunes", lines.append)
    with locks.alone(path, 0.1, "pushes", lines.append) as free:
        assert free
    other = other_process(path, fcntl.LOCK_SH)
    assert not lines
    with locks.alone(path, 0.1, "pushes", lines.append) as free:
        assert not free
    assert lines == [f"waiting for process {os.getpid()}, which pushes"]
    os.close(other)
    os.close(locks._shared.pop(path))


def test_sharing_waits_for_the_process_that_holds_the_lock_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    path = tmp_path / "x.lock"
    other = other_process(path, fcntl.LOCK_EX)
    lines: list[str] = []

    def announce(line: str) -> None:
        lines.append(line)
        os.close(other)

    locks.share(path, "prunes", announce)
    assert lines == [f"waiting for process {os.getpid()}, which prunes"]
    os.close(locks._shared.pop(path))


def test_of_several_holders_another_process_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.lock"
    path.touch()
    inode = path.stat().st_ino
    records = [f"1: FLOCK  ADVISORY  READ {pid} fe:00:{inode} 0 EOF" for pid in (os.getpid(), 77)]
    held = tmp_path / "locks"
    held.write_text("\n".join(records))
    monkeypatch.setattr(locks, "_LOCKS", held)
    assert locks.holder(path) == 77
