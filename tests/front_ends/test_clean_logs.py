"""The log groomer of the PROD image, as its Dockerfile has it, on folders of this machine."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DAY = 24 * 3600
Groomer = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def groomer(tmp_path: Path) -> Groomer:
    text = (ROOT / "Dockerfile").read_text()
    script = re.search(r'<<"EOF" /clean-logs\n(.*?)\nEOF\n', text, re.DOTALL)
    assert script
    file = tmp_path / "clean-logs"
    file.write_text(script[1])

    def run(**environment: str) -> subprocess.CompletedProcess[str]:
        """Run it until it waits for the next round, or ends."""
        with subprocess.Popen(
            ["/bin/bash", str(file)],
            env={"PATH": "/usr/bin:/bin", "AIRFLOW_HOME": str(tmp_path), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            children = Path(f"/proc/{child.pid}/task/{child.pid}/children")
            until = time.monotonic() + 60
            while child.poll() is None and time.monotonic() < until and not _sleeps(children):
                time.sleep(0.05)
            for pid in _read(children).split():  # or the pipes stay open with it
                os.kill(int(pid), 15)
            child.terminate()
            out, err = child.communicate(timeout=60)
        return subprocess.CompletedProcess(["clean-logs"], child.returncode, out, err)

    return run


def _sleeps(children: Path) -> bool:
    return "sleep\n" in [_read(Path(f"/proc/{pid}/comm")) for pid in _read(children).split()]


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def put(file: Path, days: float) -> Path:
    """Make a file, and the folders above it, that was last written so many days ago."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("x")
    age(file, days)
    return file


def age(path: Path, days: float) -> None:
    then = time.time() - days * DAY
    os.utime(path, (then, then), follow_symlinks=False)


def test_old_logs_go_and_their_folders_with_them(tmp_path: Path, groomer: Groomer) -> None:
    logs = tmp_path / "logs"
    old = [put(logs / "dag_id=a b" / "run" / f"{n}.log", 20) for n in range(3)]
    old += [put(logs / "scheduler" / "x.log.1", 17), put(logs / "-top.log", 99)]
    outside = put(tmp_path / "outside" / "kept.log", 99)
    kept = [
        put(logs / "dag_id=c" / "run" / "attempt=1.log", 14),
        put(logs / "dag_id=c" / "run" / "data.txt", 99),
        put(logs / "lost+found" / "old.log", 99),
        outside,
    ]
    (logs / "linked").symlink_to(outside.parent)
    (logs / "link.log").symlink_to(outside)
    age(logs / "link.log", 99)
    stale, fresh = logs / "stale" / "empty", logs / "dag_id=now" / "run"
    for folder in (stale, fresh):
        folder.mkdir(parents=True)
    age(stale, 1)
    done = groomer()
    assert done.stderr == ""
    assert not any(file.exists() for file in old)
    assert all(file.exists() for file in kept)
    assert (logs / "link.log").is_symlink()
    assert not (logs / "dag_id=a b").exists()
    assert not (logs / "scheduler").exists()
    assert not (logs / "stale").exists()
    assert fresh.is_dir(), "a task may be about to write its log there"
    assert "removed dag_id=a b/run/1.log" in done.stdout


def test_the_folder_itself_stays_when_everything_goes(tmp_path: Path, groomer: Groomer) -> None:
    log = put(tmp_path / "logs" / "a" / "b.log", 99)
    assert groomer().stderr == ""
    assert list((tmp_path / "logs").iterdir()) == []
    assert not log.exists()


def test_how_many_days_is_set(tmp_path: Path, groomer: Groomer) -> None:
    old, new = put(tmp_path / "logs" / "old.log", 4.5), put(tmp_path / "logs" / "new.log", 2)
    assert groomer(AIRFLOW__LOG_RETENTION_DAYS="3").stderr == ""
    assert (old.exists(), new.exists()) == (False, True)
    done = groomer(AIRFLOW__LOG_RETENTION_DAYS="a week")
    assert done.returncode == 2
    assert done.stderr == "clean-logs: days: expected a number, got 'a week'\n"
    assert groomer(AIRFLOW__LOG_CLEANUP_FREQUENCY_MINUTES="-1").returncode == 2


def test_a_folder_that_is_not_there_yet_is_waited_for(tmp_path: Path, groomer: Groomer) -> None:
    done = groomer()
    assert (done.stdout, done.stderr) == (f"there is no folder {tmp_path}/logs yet\n", "")


def test_a_log_that_is_being_written_stays(tmp_path: Path, groomer: Groomer) -> None:
    with put(tmp_path / "logs" / "dag" / "now.log", 99).open("a") as log:
        log.write("more")
        log.flush()
        assert groomer().stderr == ""
        assert Path(log.name).exists()


def test_what_cannot_be_removed_is_said_and_the_rest_goes(tmp_path: Path, groomer: Groomer) -> None:
    """An `rm` that fails stands in for a file system that refuses: root may remove everything."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "rm").write_text('#!/bin/sh\ncase "$*" in *a.log) exit 1 ;; esac\n/bin/rm "$@"\n')
    (programs / "rm").chmod(0o755)
    stays, goes = (put(tmp_path / "logs" / name, 99) for name in ("a.log", "b.log"))
    done = groomer(PATH=f"{programs}:/usr/bin:/bin")
    assert done.stderr == "clean-logs: not everything could be removed\n"
    assert (stays.exists(), goes.exists()) == (True, False)
