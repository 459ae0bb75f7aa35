"""Errors of the operating system are one line that names the file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from fake_docker import Bench, last

BUILD = ("image.build", "--python", "3.11")
#: A user without an entry in passwd, who may enter root's folders as root may.
NOBODY = (
    *("--reuid=12345", "--clear-groups"),
    *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
)
#: Root without the right to write what is another user's.
WEAK = ("--bounding-set=-all", "--inh-caps=-all")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another user's place")


def as_other(
    bench: Bench,
    options: Sequence[str],
    *words: str,
    without: Sequence[str] = (),
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run a task without root's right to write everywhere."""
    variables = {**bench.environment, **environment}
    for name in without:
        variables.pop(name, None)
    return subprocess.run(
        ["/usr/bin/setpriv", *options, sys.executable, "-m", "invoke", *words],
        cwd=bench.root,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@as_root
@pytest.mark.parametrize("task", [(*BUILD, "--dry-run"), ("image.report",), ("image.explain",)])
def test_a_user_without_a_home_is_told_what_to_set(bench: Bench, task: tuple[str, ...]) -> None:
    without = ("HOME", "AIRFLOW_IMAGES_CACHE", "DOCKER_CONFIG")
    done = as_other(bench, NOBODY, *task, without=without)
    assert done.returncode == 2, done.stderr[-2000:]
    assert last(done.stderr) == (
        "there is no folder for the cache, because this user has no home folder: set HOME or "
        "AIRFLOW_IMAGES_CACHE"
    )
    done = as_other(bench, NOBODY, *task, without=("HOME",), AIRFLOW_IMAGES_CACHE="~/images")
    assert done.returncode == 2
    assert last(done.stderr) == "AIRFLOW_IMAGES_CACHE: there is no home folder for '~/images'"


@as_root
@pytest.mark.parametrize("part", ["", "contexts", "builders"])
def test_a_cache_folder_of_another_user_is_one_line(bench: Bench, part: str) -> None:
    place = bench.folder / "cache"
    (place / part).mkdir(parents=True)
    os.chown(place / part, 12345, -1)
    task = ("builder.create",) if part == "builders" else BUILD
    done = as_other(bench, WEAK, *task)
    assert done.returncode == 6, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    assert str(place / part) in last(done.stderr)
    assert "Permission denied" in last(done.stderr)


@pytest.mark.parametrize("part", ["", "builders"])
def test_a_file_in_the_place_of_a_cache_folder_is_one_line(bench: Bench, part: str) -> None:
    place = bench.folder / "cache"
    if part:
        place.mkdir()
    (place / part).write_text("in the way")
    task = ("builder.create",) if part == "builders" else BUILD
    by_invoke = bench.invoke(*task)
    assert by_invoke.returncode == 6, by_invoke.stderr[-2000:]
    assert "Traceback" not in by_invoke.stderr
    assert str(place / part) in last(by_invoke.stderr)
    if part != "builders":
        by_nox = bench.nox("build_ci-3.11")
        assert by_nox.returncode == 1
        assert "Traceback" not in by_nox.stderr
        assert str(place / part) in by_nox.stderr


def test_without_a_writable_cache_buildx_is_asked_for_its_version_again(bench: Bench) -> None:
    """The file with buildx's version only saves a call."""
    for content in ("[[1, 2], 3]", '{"x": 1}', "[" * 100_000):
        (bench.folder / "cache").mkdir(exist_ok=True)
        (bench.folder / "cache" / "buildx-version.json").write_text(content)
        assert bench.invoke(*BUILD, "--dry-run").returncode == 0
    (bench.folder / "cache" / "buildx-version.json").unlink()
    (bench.folder / "cache" / "buildx-version.json").mkdir()
    for _ in range(2):
        assert bench.invoke(*BUILD, "--dry-run").returncode == 0
    assert sum(words[1:] == ["version"] for words in bench.told()) >= 4


def broken(path: Path, how: str) -> None:
    """Replace a program by something that the system cannot run."""
    path.unlink()
    if how == "a folder":
        path.mkdir()
        return
    foreign = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xf7\x00" + bytes(100)  # eBPF's
    contents = {"a page": b"<!DOCTYPE html>Not Found", "empty": b"", "foreign": foreign}
    path.write_bytes(contents[how])
    path.chmod(0o755)


@pytest.mark.parametrize("how", ["a page", "empty", "foreign"])
@pytest.mark.parametrize("program", ["bin/docker", "docker-config/cli-plugins/docker-buildx"])
def test_a_program_that_cannot_be_run_is_one_line(bench: Bench, program: str, how: str) -> None:
    path = bench.folder / program
    broken(path, how)
    done = bench.invoke("image.push", "--python", "3.11")
    assert done.returncode == 127, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    reason = f"cannot start {path}: Exec format error, it is no program for this machine"
    assert last(done.stderr) == reason


@pytest.mark.parametrize("program", ["bin/docker", "docker-config/cli-plugins/docker-buildx"])
def test_a_folder_in_the_place_of_a_program_is_no_program(bench: Bench, program: str) -> None:
    broken(bench.folder / program, "a folder")
    done = bench.invoke(*BUILD, PATH=f"{bench.folder / 'bin'}")
    assert done.returncode == 127, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    assert "docker" in last(done.stderr)


def test_an_answer_that_cannot_be_written_is_one_line(bench: Bench) -> None:
    words = [sys.executable, "-m", "invoke", "settings"]
    full = subprocess.run(
        ["/bin/sh", "-c", '"$@" > /dev/full', "sh", *words],
        cwd=bench.root,
        env=bench.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert full.returncode == 6
    assert full.stderr == "stdout cannot be written: No space left on device\n"
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        gone = subprocess.run(
            words,
            cwd=bench.root,
            env=bench.environment,
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (gone.returncode, gone.stderr) == (0, "")  # the reader has enough


def test_names_that_are_not_utf_8_work(bench: Bench) -> None:
    """A checkout, a cache folder, a branch and variables may have any bytes in their names."""
    odd = os.fsdecode(b"caf\xe9")
    there = bench.copy(bench.folder / odd)
    variables = {"AIRFLOW_IMAGES_CACHE": str(bench.folder / f"cache-{odd}"), "GITHUB_ACTOR": odd}
    for options in ((), ("--dry-run",)):
        with there.start("invoke", *BUILD, *options, **variables) as process:
            process.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
            process.stderr.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
            out, err = process.communicate(timeout=60)
        assert process.returncode == 0, ascii(err[-2000:])
        assert (odd in out + err) is True  # pytest cannot show such a name


@as_root
def test_an_unwritable_results_file_is_reported_before_anything_runs(
    bench: Bench, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 12345, -1)
    file = theirs / "results.xml"
    done = as_other(bench, WEAK, "image.verify", "prod-3.11", "--junit", str(file))
    assert done.returncode == 6, done.stderr[-2000:]
    assert last(done.stderr) == f"--junit: {file} cannot be written: Permission denied"
    assert bench.told() == []
