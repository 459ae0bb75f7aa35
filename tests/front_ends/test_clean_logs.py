"""The log groomer of the PROD image, as its Dockerfile has it, on folders of this machine."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from image_scripts import script

from build_tasks.verify import plugin
from build_tasks.verify.checks.test_entrypoint import GROOMED

DAY = 24 * 3600
Groomer = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def groomer(tmp_path: Path) -> Groomer:
    file = tmp_path / "clean-logs"
    file.write_text(script("/clean-logs"))

    def run(**environment: str) -> subprocess.CompletedProcess[str]:
        """Run it until it waits for the next round, or ends."""
        outputs = (tmp_path / "out").open("w+"), (tmp_path / "err").open("w+")
        with (
            outputs[0] as out,
            outputs[1] as err,
            subprocess.Popen(
                ["/bin/bash", str(file)],
                env={"PATH": "/usr/bin:/bin", "AIRFLOW_HOME": str(tmp_path), **environment},
                stdout=out,
                stderr=err,
            ) as child,
        ):
            children = Path(f"/proc/{child.pid}/task/{child.pid}/children")
            until = time.monotonic() + 60
            while child.poll() is None and time.monotonic() < until and not _sleeps(children):
                time.sleep(0.05)
            for pid in _read(children).split():
                os.kill(int(pid), 15)
            child.terminate()
            child.wait(timeout=60)
            texts = (_read(Path(file.name)) for file in outputs)
            return subprocess.CompletedProcess(["clean-logs"], child.returncode, *texts)

    return run


def _sleeps(children: Path) -> bool:
    return "sleep\n" in [_read(Path(f"/proc/{pid}/comm")) for pid in _read(children).split()]


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def put(file: Path, days: float, size: int = 1) -> Path:
    """Make a file of so many bytes, and the folders above it, last written so many days ago."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)
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
    assert "removed 'dag_id=a b/run/1.log'" in done.stdout


def test_the_folder_itself_stays_when_everything_goes(tmp_path: Path, groomer: Groomer) -> None:
    log = put(tmp_path / "logs" / "a" / "b.log", 99)
    assert groomer().stderr == ""
    assert list((tmp_path / "logs").iterdir()) == []
    assert not log.exists()


MINUTE = 1 / 24 / 60


@pytest.mark.parametrize(
    ("environment", "days"),
    [
        ({}, 15),
        ({"DAYS": "3"}, 3),
        ({"DAYS": "08", "MINUTES": "0"}, 8),
        ({"DAYS": "0", "MINUTES": "90"}, 90 * MINUTE),
        ({"DAYS": "1", "MINUTES": "30"}, 1 + 30 * MINUTE),
    ],
)
def test_days_and_minutes_add_up_to_the_retention(
    tmp_path: Path, groomer: Groomer, environment: dict[str, str], days: float
) -> None:
    logs = tmp_path / "logs"
    old = [put(logs / "large.log", days + MINUTE, 10**6), put(logs / "small.log", days + MINUTE)]
    young = [put(logs / "a" / "large.log", days - MINUTE, 10**6), put(logs / "new.log", 0)]
    names = {f"AIRFLOW__LOG_RETENTION_{name}": value for name, value in environment.items()}
    assert groomer(**names).stderr == ""
    assert not any(file.exists() for file in old)
    assert all(file.exists() for file in young)


def test_the_oldest_go_until_the_rest_keeps_the_limit_in_bytes(
    tmp_path: Path, groomer: Groomer
) -> None:
    logs = tmp_path / "logs"
    files = [put(logs / f"{n}" / "a b.log", n, size=1000 + n) for n in range(6)]
    other = put(logs / "data.txt", 9, size=5000)
    limit = 1000 + 1001 + 1002
    assert groomer(AIRFLOW__LOG_MAX_SIZE_BYTES=str(limit)).stderr == ""
    assert [file.exists() for file in files] == [True, True, True, False, False, False]
    assert not files[3].parent.exists()
    assert other.exists()
    assert groomer(AIRFLOW__LOG_MAX_SIZE_BYTES=str(limit - 1)).stderr == ""
    assert [file.exists() for file in files[:3]] == [True, True, False]


def test_a_limit_in_bytes_keeps_no_log_that_is_too_old(tmp_path: Path, groomer: Groomer) -> None:
    old, new = put(tmp_path / "logs" / "old.log", 2), put(tmp_path / "logs" / "new.log", 0)
    limits = {"AIRFLOW__LOG_RETENTION_DAYS": "1", "AIRFLOW__LOG_MAX_SIZE_BYTES": "1000000"}
    done = groomer(**limits)
    assert "older than 1440 minutes, and the oldest beyond 1000000 bytes" in done.stdout
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
def test_the_oldest_go_until_the_rest_keeps_the_limit_in_percent(
    tmp_path: Path, groomer: Groomer
) -> None:
    """A file system of a known size is mounted: a tenth of 10 MiB has room for two of the logs."""
    logs = tmp_path / "logs"
    logs.mkdir()
    subprocess.run(
        ["/usr/bin/mount", "-t", "tmpfs", "-o", "size=10M", "logs", str(logs)], check=True
    )
    try:
        files = [put(logs / f"{n}.log", n, size=400_000) for n in range(5)]
        limits = {"AIRFLOW__LOG_MAX_SIZE_PERCENT": "10"}
        assert groomer(**limits, AIRFLOW__LOG_MAX_SIZE_BYTES="1200000").stderr == ""
        assert [file.exists() for file in files] == [True, True, True, False, False]
        done = groomer(**limits)
        assert done.stderr == ""
        assert "the oldest beyond 10 % of the file system" in done.stdout
        assert [file.exists() for file in files[:3]] == [True, True, False]
    finally:
        subprocess.run(["/usr/bin/umount", str(logs)], check=True)


@pytest.mark.parametrize(("variables", "left"), GROOMED, ids=" ".join)
def test_what_verification_expects_of_it(
    tmp_path: Path, variables: Mapping[str, str], left: Sequence[str]
) -> None:
    """The script that tries it in an image ends with its first round."""
    if "AIRFLOW__LOG_MAX_SIZE_PERCENT" in variables:
        pytest.skip("is of the size of the file system")
    (tmp_path / "logs").mkdir()
    file = tmp_path / "clean-logs"
    file.write_text(script("/clean-logs"))
    file.chmod(0o755)
    began = time.monotonic()
    done = subprocess.run(
        ["/bin/bash", "-c", plugin.script("clean_logs").replace("/clean-logs", str(file))],
        env={"PATH": "/usr/bin:/bin", "AIRFLOW_HOME": str(tmp_path), **variables},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(done.stdout.split()) == sorted(["kept.txt", *(f"dag/{n}/1.log" for n in left)])
    assert time.monotonic() - began < 200, "it waited for the next round"


def test_thousands_of_logs_go(tmp_path: Path, groomer: Groomer) -> None:
    """They are removed in parts, and each folder with the last of its files."""
    for number in range(2500):
        put(tmp_path / "logs" / f"run={number // 3}" / f"{number}.log", 20)
    kept = put(tmp_path / "logs" / "run=0" / "kept.log", 1)
    assert groomer().stderr == ""
    assert list((tmp_path / "logs").iterdir()) == [kept.parent]
    assert list(kept.parent.iterdir()) == [kept]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("RETENTION_DAYS", "a week", "a whole number up to 1000000"),
        ("RETENTION_MINUTES", "1.5", "a whole number up to 1000000000"),
        ("CLEANUP_FREQUENCY_MINUTES", "-1", "a whole number up to 1000000"),
        ("MAX_SIZE_BYTES", "1GB", "a whole number"),
        ("MAX_SIZE_PERCENT", "101", "a whole number up to 100"),
    ],
)
def test_other_values_are_an_error(
    tmp_path: Path, groomer: Groomer, name: str, value: str, expected: str
) -> None:
    log = put(tmp_path / "logs" / "old.log", 99)
    done = groomer(**{f"AIRFLOW__LOG_{name}": value})
    assert done.returncode == 2
    assert done.stderr == f"clean-logs: AIRFLOW__LOG_{name}: expected {expected}, got '{value}'\n"
    assert log.exists()


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
    (programs / "rm").write_text(
        '#!/bin/bash\n[[ " $* " != *" a.log "* ]] || code=1\n'
        '/bin/rm "${@/#a.log/nothing}" || code=1\nexit ${code:-0}\n'
    )
    (programs / "rm").chmod(0o755)
    stays, goes = (put(tmp_path / "logs" / name, 99) for name in ("a.log", "b.log"))
    done = groomer(PATH=f"{programs}:/usr/bin:/bin")
    assert done.stderr == "clean-logs: not everything could be removed\n"
    assert (stays.exists(), goes.exists()) == (True, False)
