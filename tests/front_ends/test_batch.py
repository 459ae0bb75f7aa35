"""Many builds at once, with the real nox and invoke and a fake docker."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import pytest
from fake_docker import Bench, last, listing

THREE = ("image.build", "--python", "3.9,3.11,3.13")
IMAGE = "ghcr.io/apache/airflow/main/{}/python{}"
DISK = "ERROR: failed to solve: no space left on device"
FIVE = "ERROR: failed to push r/i: unexpected status from PUT request to r: 503 Service Unavailable"
METADATA = json.dumps({"containerimage.digest": f"sha256:{'1' * 64}"})
CAN = listing("default", "linux/amd64", "linux/arm64")


def rows(text: str) -> dict[str, list[str]]:
    """Return the words of each row of the table of outcomes."""
    table = text[text.index("\nbuild ") + 1 :].splitlines()[1:]
    return {line.split()[0]: re.split(r" {2,}", line)[1:] for line in table if "  " in line}


def happened(text: str, word: str) -> list[int]:
    """Return the numbers of the lines that begin a name and have this word next."""
    found = re.compile(rf"\S+: {word}")
    return [number for number, line in enumerate(text.splitlines()) if found.match(line)]


def test_a_failure_stops_no_other_build_and_sets_the_exit_code(bench: Bench) -> None:
    folder = bench.folder / "cache" / "logs"
    done = bench.invoke(
        *(*THREE, "--kind", "ci,prod", "--push"),
        FAKE_FAILS="/ci/python3.11:latest",
        FAKE_EXIT="1",
        FAKE_STDERR=DISK,
        FAKE_METADATA=METADATA,
    )
    assert done.returncode == 6
    assert last(done.stderr).startswith("ci-3.11-amd64: no space left on device")
    table = rows(done.stderr)
    kinds = [
        f"{kind}-{python}-amd64" for kind in ("ci", "prod") for python in ("3.9", "3.11", "3.13")
    ]
    assert list(table) == kinds
    assert table["ci-3.11-amd64"][0] == "failed (disk)"
    assert table["ci-3.11-amd64"][2] == "1"
    pushed = f"pushed {IMAGE.format('prod', '3.11')}:latest sha256:{'1' * 64}"
    assert table["prod-3.11-amd64"][::3] == ["built", pushed]
    (log,) = folder.glob("*/ci-3.11-amd64.log")
    assert f"ci-3.11-amd64: its log is {log}\n" in done.stderr
    text = log.read_text()
    assert DISK in text
    assert text.startswith("+ env ")  # what to paste into a shell
    assert len(list(folder.glob("*/*.log"))) == 6


def test_failures_of_several_classes_have_exit_code_12(bench: Bench) -> None:
    both = ("--platform", "linux/amd64,linux/arm64", "--push-by-digest", "--builder", "default")
    done = bench.invoke(
        *("image.build", "--python", "3.11", *both),
        FAKE_LS=CAN,
        FAKE_FAILS="linux/arm64",
        FAKE_EXIT="1",
        FAKE_STDERR=DISK,
    )
    assert done.returncode == 12
    assert last(done.stderr) == "2 of 2 failed: ci-3.11-amd64 (command), ci-3.11-arm64 (disk)"


def test_transient_errors_of_a_registry_are_retried(bench: Bench) -> None:
    done = bench.invoke(
        *THREE,
        FAKE_FAILS="python3.11:latest",
        FAKE_TIMES="2",
        FAKE_EXIT="1",
        FAKE_STDERR=FIVE,
    )
    assert done.returncode == 0, done.stderr
    tries = {name: row[2] for name, row in rows(done.stderr).items()}
    assert tries == {"ci-3.9-amd64": "1", "ci-3.11-amd64": "3", "ci-3.13-amd64": "1"}
    assert len(happened(done.stderr, "failed to push.* retrying in ")) == 2


@pytest.mark.parametrize(
    ("options", "said", "code"),
    [
        (("--retries", "0"), FIVE, 4),
        ((), 'ERROR: process "/bin/sh -c x" did not complete successfully: exit code: 3', 10),
        ((), "ERROR: failed to solve: r/i: not found", 4),
    ],
)
def test_permanent_errors_are_not_retried(
    bench: Bench, options: tuple[str, ...], said: str, code: int
) -> None:
    done = bench.invoke(*THREE, *options, FAKE_EXIT="1", FAKE_STDERR=said)
    assert done.returncode == code
    assert len(bench.builds()) == 3
    assert last(done.stderr).startswith("3 of 3 failed: ")


def test_a_single_build_is_retried_too(bench: Bench) -> None:
    done = bench.invoke(
        *("image.build", "--python", "3.11"), FAKE_TIMES="1", FAKE_EXIT="1", FAKE_STDERR=FIVE
    )
    assert done.returncode == 0
    assert "503 Service Unavailable: retrying in 1." in done.stderr
    assert len(bench.builds()) == 2
    assert "\n+ " not in done.stderr  # the whole command is in the log
    assert "\nbuild " not in done.stderr


def test_a_build_whose_cached_step_has_lost_its_files_is_made_again_without_cached_steps(
    bench: Bench,
) -> None:
    error = (
        "failed to commit wqm151i9orfxtllih5vbtgct3 to q1k2qt02dajkt5qmbarankq3u during finalize: "
        "failed to stat active key during commit: snapshot wqm151i9orfxtllih5vbtgct3 does not "
        "exist: not found"
    )
    said = {"FAKE_EXIT": "1", "FAKE_STDERR": f"ERROR: failed to build: failed to solve: {error}"}
    command = ("image.build", "--python", "3.11", "--retries", "0")
    done = bench.invoke(*command, **said, FAKE_TIMES="1")
    assert done.returncode == 0
    assert ["--no-cache" in build for build in bench.builds()] == [False, True]
    assert done.stderr.count(": building again without cached steps\n") == 1
    done = bench.invoke(*command, "--cache-mode", "disabled", **said)
    assert done.returncode == 3
    assert last(done.stderr).startswith(f"ci-3.11-amd64: {error} (the builder has lost the files")


@pytest.mark.parametrize("jobs", [1, 2])
def test_jobs_limits_the_builds_at_once(bench: Bench, jobs: int) -> None:
    done = bench.invoke(*THREE, "--jobs", str(jobs), FAKE_SLEEP="0.5")
    assert done.returncode == 0
    begins, ends = happened(done.stderr, "building"), happened(done.stderr, "built")
    assert begins[jobs - 1] < ends[0] < begins[jobs]


def test_quiet_builds_print_the_table_and_no_explanation(bench: Bench) -> None:
    times = {"started": "2026-01-01T00:00:00Z", "completed": "2026-01-01T00:00:01Z"}
    step = {"digest": "sha256:a", "name": "[2/2] RUN true", **times}
    event = json.dumps({"vertexes": [step]})
    assert bench.invoke(*THREE, FAKE_STDERR=event).returncode == 0
    assert " ran again since the build of " in bench.invoke(*THREE, FAKE_STDERR=event).stderr
    done = bench.invoke(*THREE, "--progress", "quiet", FAKE_STDERR=event)
    names = [line.split()[0] for line in done.stderr.splitlines()]
    assert names == ["build", "ci-3.9-amd64", "ci-3.11-amd64", "ci-3.13-amd64"]


def test_fail_fast_ends_the_other_builds(bench: Bench) -> None:
    began = time.monotonic()
    done = bench.invoke(
        *(*THREE, "--jobs", "2", "--fail-fast"),
        FAKE_FAILS="python3.11:latest",
        FAKE_EXIT="1",
        FAKE_STDERR=DISK,
        FAKE_SLEEP="30",
    )
    assert done.returncode == 6
    assert time.monotonic() - began < 20
    outcomes = {name: row[0] for name, row in rows(done.stderr).items()}
    assert outcomes["ci-3.9-amd64"] == "cancelled"
    assert outcomes["ci-3.11-amd64"] == "failed (disk)"
    assert "\nci-3.13-amd64  skipped\n" in done.stderr
    assert ["ended"] in bench.told()  # it was asked to end


@pytest.mark.parametrize("front_end", ["nox", "invoke"])
def test_a_signal_ends_all_builds_and_prints_the_table(bench: Bench, front_end: str) -> None:
    command = {
        "nox": ("nox", "-s", "build_all", "--", *THREE[1:], "--kind", "ci"),
        "invoke": ("invoke", *THREE),
    }[front_end]
    with bench.start(*command, FAKE_SLEEP="30") as process:
        until = time.monotonic() + 60
        while len(bench.builds()) < 3 and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert bench.told().count(["ended"]) == 3
    assert [row[0] for row in rows(err).values()] == ["cancelled"] * 3
    assert "Traceback" not in err
    records = (bench.folder / "cache" / "records").glob("*/*.json")
    assert [json.loads(file.read_text())["outcome"] for file in records] == ["cancelled"] * 3


def test_the_whole_matrix_is_one_session(bench: Bench) -> None:
    done = bench.nox("build_all", "--prod-profile", "slim")
    assert done.returncode == 0, done.stderr
    assert len(rows(done.stderr)) == 12
    assert len(bench.builds()) == 12
    for part in (("--kind", "ci"), ("--python", "3.9,3.9")):
        lines = bench.nox("build_all", *part, "--dry-run").stdout.splitlines()
        assert len(lines) == {"--kind": 6, "--python": 2}[part[0]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--jobs", "0"), "--jobs: expected an integer >= 1, got '0'"),
        (("--retries", "x"), "--retries: expected an integer >= 0, got 'x'"),
        (("--kind", "ci,x"), "--kind: unknown image 'x': choose ci, prod"),
        (("--kind", "ci", "--prod-profile", "slim"), "--prod-profile: is for the PROD image only"),
    ],
)
def test_a_mistake_is_one_line_and_starts_nothing(
    bench: Bench, options: tuple[str, ...], said: str
) -> None:
    done = bench.invoke(*THREE, *options)
    assert (done.returncode, last(done.stderr)) == (2, said)
    assert bench.builds() == []


def test_lines_are_cut_at_the_width(bench: Bench) -> None:
    step = {
        "digest": "sha256:a",
        "name": f"[2/3] RUN {'x' * 400}",
        "started": "2026-01-01T00:00:00Z",
    }
    event = json.dumps({"vertexes": [step]})
    done = bench.invoke(*THREE, FAKE_STDERR=event, COLUMNS="60")
    lines = [line for line in done.stderr.splitlines() if ": [2/3] xx" in line]
    assert len(lines) == 3
    assert {len(line) for line in lines} == {60}


def test_rawjson_passes_on_events_unchanged(bench: Bench) -> None:
    event = json.dumps({"vertexes": [{"digest": "sha256:a", "name": "x" * 500}]})
    done = bench.invoke(*THREE, "--progress", "rawjson", FAKE_STDERR=event)
    assert done.stderr.splitlines().count(event) == 3
    quiet = bench.invoke(*THREE, "--progress", "quiet", FAKE_STDERR=event)
    assert quiet.stderr.splitlines()[0].startswith("build ")


def test_github_gets_groups_and_the_end_of_failed_logs_first(bench: Bench) -> None:
    done = bench.invoke(
        *THREE,
        GITHUB_ACTIONS="true",
        FAKE_FAILS="python3.11:latest",
        FAKE_EXIT="1",
        FAKE_STDERR=f"::set-output name=x::y\n{DISK}",
    )
    lines = done.stderr.splitlines()
    error = next(line for line in lines if line.startswith("::error "))
    assert error.startswith("::error title=ci-3.11-amd64::no space left on device (free some")
    fold = next(n for n, line in enumerate(lines) if line.startswith("::group::ci-3.11-amd64: f"))
    assert lines.index(error) < fold
    assert DISK in lines[: lines.index(error)]  # the end of its log, above the fold
    assert lines.count("::endgroup::") == 3
    for number, line in enumerate(lines):
        if line.startswith("::set-output"):  # what a build says is no command
            before = [text for text in lines[:number] if text.startswith("::stop-commands::")]
            token = before[-1].rpartition("::")[2]
            assert f"::{token}::" not in lines[:number]


def test_bake_prints_targets_and_the_command(bench: Bench) -> None:
    done = bench.invoke(
        *("bake", "--kind", "ci,prod", "--python", "3.9,3.11", "--push", "--push-cache"),
        FAKE_BUILDX_VERSION="v0.29.1",
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    names = ["ci-3_9-amd64", "ci-3_11-amd64", "prod-3_9-amd64", "prod-3_11-amd64"]
    assert said["group"]["default"]["targets"] == list(said["target"]) == names
    one = said["target"]["prod-3_11-amd64"]
    assert one["tags"] == [f"{IMAGE.format('prod', '3.11')}:latest"]
    assert one["platforms"] == ["linux/amd64"]
    assert one["output"][0].startswith("type=image,push=true,")
    assert one["attest"] == ["type=provenance,mode=min"]
    assert one["args"]["AIRFLOW_PYTHON_VERSION"] == "3.11"
    assert f"  env BUILDX_CONFIG={bench.folder}" in last(done.stderr)
    assert Path(one["context"], "constraints").is_dir()  # a snapshot, made for this
    assert f" --allow fs.read={one['context']} " in last(done.stderr)
    assert f" --allow fs.read={bench.root}/Dockerfile.ci " in last(done.stderr)
    assert last(done.stderr).endswith(" --file - < FILE")
    assert bench.builds() == []


def test_bake_prints_the_merge_command_too(bench: Bench) -> None:
    both = ("--platform", "linux/amd64,linux/arm64", "--push")
    done = bench.invoke("bake", "--kind", "ci", "--python", "3.11", *both)
    assert list(json.loads(done.stdout)["target"]) == ["ci-3_11-amd64", "ci-3_11-arm64"]
    assert last(done.stderr).endswith("@DIGEST-OF-ci-3.11-arm64")


def test_logs_of_one_run_are_in_one_folder(bench: Bench) -> None:
    for _ in range(2):
        assert bench.invoke(*THREE).returncode == 0
    runs = [path for path in Path(bench.folder, "cache", "logs").iterdir() if path.is_dir()]
    assert [len(list(run.glob("*.log"))) for run in runs] == [3, 3]


def test_a_build_has_the_same_command_alone_and_with_others(bench: Bench) -> None:
    def lines(kind: str) -> list[str]:
        options = ("--kind", kind, "--python", "3.11", "--platform", "linux/amd64", "--dry-run")
        return bench.invoke("image.build", *options).stdout.splitlines()

    assert lines("ci,prod") == [*lines("ci"), *lines("prod")]
