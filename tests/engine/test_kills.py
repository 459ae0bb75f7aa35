"""Commands killed at random moments: the next command works, and nothing is left."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import kills
import pytest
from kills import Dice, Ended
from suite import Suite, last

from build_tasks.engine import packages, processes
from build_tasks.engine.folders import Folders

START = ("invoke", "engine.start")
STOP = ("invoke", "engine.stop")
BUILD = ("invoke", "image.build", "--python", "3.11", "--base-image", "scratch")


def folders_of(suite: Suite) -> Folders:
    return Folders(Path(suite.environment["AIRFLOW_IMAGES_CACHE"]) / "engine")


def left(suite: Suite) -> dict[str, list[str]]:
    """Return what is left of a stopped engine, by kind."""
    folders = folders_of(suite)
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    ours = (str(folders.run), str(folders.home))
    networks = [path.name for path in Path("/sys/class/net").iterdir()]
    tables = [
        subprocess.run(
            [folders.packages("unstable") / "usr/sbin/iptables", "-t", table, "-S"],
            env={**os.environ, **packages.environment(folders.packages("unstable"))},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for table in ("nat", "filter")
    ]
    found = {
        "processes": [str(process) for process in processes.find(folders)] + kills.running(ours),
        "mounts": [line for line in mounts if any(folder in line for folder in ours)],
        "networks": [name for name in networks if folders.unique_id in name],
        "rules": [line for lines in tables for line in lines if folders.bridge in line],
        "emulators": [
            path.name for path in Path("/proc/sys/fs/binfmt_misc").glob(f"*{folders.unique_id}")
        ],
        "files": [str(folders.run)] if folders.run.exists() else [],
        "temporary files": [*map(str, Path(suite.environment["TMPDIR"]).iterdir())],
    }
    return {kind: names for kind, names in found.items() if names}


def check(suite: Suite, ended: Ended) -> None:
    # What ^C does before invoke reads the suite's own modules is not the suite's to say.
    early = f'File "{suite.root}' not in ended.output
    assert "Traceback" not in ended.output or early, f"{ended.kill}:\n{ended.output}"
    assert not ended.orphans, f"{ended.kill}: it left {ended.orphans}"


def goes_on(suite: Suite, command: tuple[str, ...], ended: Ended) -> None:
    done = suite.run(*command)
    assert done.returncode == 0, f"{ended.kill}, then {command[1]}:\n{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr, f"{ended.kill}, then {command[1]}:\n{done.stderr}"


@dataclass(frozen=True)
class Operation:
    """A command to kill.

    Args:
        command: the command.
        before: what makes that there is something to do, each time.
        after: what has to work afterwards; the command itself by default.
    """

    command: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    after: tuple[tuple[str, ...], ...] = ()


ONE = ("--python", "3.11")
BUILT = ("invoke", "image.build", *ONE)
CREATE = ("invoke", "builder.create", "--builder", "killed")
REMOVE = ("invoke", "builder.remove", "--builder", "killed")
FILE = ("--file", "image.tar.zst")
OPERATIONS = {
    "build": Operation(BUILT),
    "push": Operation((*BUILT, "--push")),
    "export": Operation(("invoke", "cache.push", *ONE)),
    "batch": Operation(
        ("invoke", "image.build", "--kind", "ci,prod", *ONE, "--push", "--push-cache")
    ),
    "merge": Operation(
        ("invoke", "image.merge", *ONE, "--platform", "linux/amd64", "--tag", "merged"),
        (("invoke", "image.push", *ONE, "--push-by-digest"),),
    ),
    "builder.create": Operation(CREATE, (CREATE, REMOVE)),
    # What was removed before the kill cannot be removed again.
    "builder.remove": Operation(REMOVE, (CREATE,), (CREATE, REMOVE)),
    "save": Operation(("invoke", "image.save", *ONE, *FILE), (BUILT,)),
    "load": Operation(
        ("invoke", "image.load", FILE[1]), (BUILT, ("invoke", "image.save", *ONE, *FILE))
    ),
    "prune": Operation(("invoke", "cache.prune", "--all"), ((*BUILT, "--push"),)),
}
DOCKERFILE = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY sources /x
RUN sleep 0.5
RUN head --bytes 3000000 /dev/urandom > /large
"""


@pytest.fixture
def killed(project: Suite, base: str, metadata: Path, tmp_path: Path) -> Suite:
    """A project with small images, each of whose builds has all steps to run."""
    for name in ("Dockerfile", "Dockerfile.ci"):
        (project.root / name).write_text(DOCKERFILE)
    (tmp_path / "tmp").mkdir()
    return project.having(
        TMPDIR=str(tmp_path / "tmp"),
        AIRFLOW_IMAGES_BASE_IMAGE=base,
        AIRFLOW_IMAGES_REPOSITORY=f"tests/kills-{tmp_path.name}",
    )


def files(suite: Suite) -> set[str]:
    """Return the files that only a command that did not end can leave."""
    cache = Path(suite.environment["AIRFLOW_IMAGES_CACHE"])
    folders = (cache / "metadata", cache / "builders", suite.root)
    found = {path for folder in folders for path in folder.rglob(".*") if _is_partial(path)}
    found |= {*(cache / "metadata").glob("*")}
    return {str(path) for path in (*found, *Path(suite.environment["TMPDIR"]).iterdir())}


def _is_partial(path: Path) -> bool:
    return path.name.endswith(".airflow-images") or path.name.startswith(".new-")


def prepare(suite: Suite, operation: Operation, dice: Dice) -> None:
    """Give an operation something to do: no step of a build is cached."""
    (suite.root / "sources/changed").write_text(str(dice.source.random()))
    for command in operation.before:
        done = suite.run(*command)
        assert done.returncode == 0, done.stderr[-3000:]


def kill_and_go_on(
    suite: Suite, operation: Operation, folder: Path, dice: Dice, times: int
) -> list[Ended]:
    """Kill an operation at any moment, and do it again."""
    seconds = 0.0
    for _ in range(2):  # the first prune frees what other tests left, and takes long
        prepare(suite, operation, dice)
        seconds = kills.duration(suite, *operation.command)
    all_ended: list[Ended] = []
    while kills.alive(all_ended) < times:
        prepare(suite, operation, dice)
        ended = kills.carry_out(suite, dice.kill(operation.command, seconds), folder)
        all_ended.append(ended)
        if ended.late:  # the machine was busier when it was measured
            seconds *= 0.9
        check(suite, ended)
        for command in operation.after or (operation.command,):
            goes_on(suite, command, ended)
        assert not files(suite), f"{ended.kill}: it left {files(suite)}"
    return all_ended


@pytest.mark.parametrize("name", OPERATIONS)
def test_any_moment_may_be_killed(killed: Suite, tmp_path: Path, name: str) -> None:
    dice = Dice(kills.seed())
    print(f"seed {dice.seed}")
    kill_and_go_on(killed, OPERATIONS[name], tmp_path, dice, times=1)


@pytest.mark.nightly
@pytest.mark.timeout(14400)
@pytest.mark.parametrize("name", OPERATIONS)
def test_twenty_five_moments_may_be_killed(killed: Suite, tmp_path: Path, name: str) -> None:
    dice = Dice(kills.seed())
    print(f"seed {dice.seed}")
    kills.report(name, kill_and_go_on(killed, OPERATIONS[name], tmp_path, dice, times=25))


def snapshots(suite: Suite, *command: str) -> str:
    """Run `ctr snapshots` on the containerd of the engine."""
    folders = folders_of(suite)
    unpacked = folders.packages("unstable")
    socket = folders.run / "exec/containerd/containerd.sock"
    return subprocess.run(
        [unpacked / "usr/bin/ctr", "-a", socket, "-n", "moby", "snapshots", *command],
        env={**os.environ, **packages.environment(unpacked)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def uncommitted(suite: Suite) -> set[str]:
    rows = [line.split() for line in snapshots(suite, "ls").splitlines()]
    return {row[0] for row in rows if row[-1] == "Active"}


@pytest.mark.parametrize("command", ["cache.push", "image.build"])
def test_a_builder_that_lost_the_files_of_a_cached_step_is_mended(
    killed: Suite, command: str
) -> None:
    """What a kill leaves that comes while BuildKit commits the files: once in 25 kills."""
    dice = Dice(kills.seed())
    before: set[str] = set()
    for _ in range(2):  # the first also makes snapshots of the build context
        before = uncommitted(killed)
        prepare(killed, OPERATIONS["export"], dice)
        words = shlex.split(killed.good("cache.push", *ONE, "--dry-run").stdout)
        export = words.index("--cache-to")
        subprocess.run(words[:export] + words[export + 2 :], capture_output=True, check=True)
    snapshots(killed, "rm", *(uncommitted(killed) - before))
    done = killed.good(command, *ONE)
    assert "building again without cached steps" in done.stderr
    assert "was not written" not in done.stderr
    for following in ("cache.push", "image.build"):
        done = killed.good(following, *ONE)
        assert "without cached steps" not in done.stderr
        assert "was not written" not in done.stderr


@pytest.mark.nightly
@pytest.mark.timeout(14400)
def test_fifty_moments_of_starts_and_stops_may_be_killed(bare: Suite, tmp_path: Path) -> None:
    dice = Dice(kills.seed())
    print(f"seed {dice.seed}")
    kills.report("engine.start, engine.stop", start_and_stop(bare, tmp_path, dice, rounds=50))


def start_and_stop(suite: Suite, tmp_path: Path, dice: Dice, rounds: int) -> list[Ended]:
    """Kill starts and stops, and try the next command: a start, a stop or a build."""
    seconds = {START: kills.duration(suite, *START), STOP: kills.duration(suite, *STOP)}
    runs = False
    all_ended: list[Ended] = []
    while kills.alive(all_ended) < rounds:
        command = STOP if runs else START
        ended = kills.carry_out(suite, dice.kill(command, seconds[command]), tmp_path)
        all_ended.append(ended)
        if ended.late:
            seconds[command] *= 0.9
        check(suite, ended)
        following = dice.source.choice([START, STOP, BUILD])
        goes_on(suite, following, ended)
        runs = following != STOP
        if not runs:
            assert not left(suite), f"{ended.kill}: {left(suite)}"
    last = all_ended[-1]
    goes_on(suite, STOP, last)
    assert not left(suite), f"{last.kill}: {left(suite)}"
    return all_ended


def test_any_moment_of_a_start_and_a_stop_may_be_killed(bare: Suite, tmp_path: Path) -> None:
    dice = Dice(kills.seed())
    print(f"seed {dice.seed}")
    start_and_stop(bare, tmp_path, dice, rounds=8)


@contextlib.contextmanager
def half_started(suite: Suite) -> Iterator[subprocess.Popen[str]]:
    """Yield a start that has begun to make an engine and is held there until the block ends."""
    folders = folders_of(suite)
    with suite.start(*START) as starting:
        deadline = time.monotonic() + 60
        while not folders.run.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        starting.send_signal(signal.SIGSTOP)
        try:
            yield starting
        finally:
            starting.send_signal(signal.SIGCONT)
            starting.communicate(timeout=120)
    assert starting.returncode == 0


def test_a_wait_for_a_start_is_announced_within_two_seconds(bare: Suite) -> None:
    """A defect once found: a build that began meanwhile took the state file for an engine."""
    with half_started(bare) as starting:
        reads = kills.duration(bare, "invoke", "engine.status")
        before = time.monotonic()
        build = bare.start(*BUILD)
        assert build.stderr
        first = build.stderr.readline()
        waited = time.monotonic() - before
        refused = bare.invoke("cache.usage", "--local")
    assert refused.returncode == 3
    told = (
        f"the embedded engine does not run yet: process {starting.pid} is starting or stopping it"
    )
    assert last(refused.stderr) == told
    with build:
        _, err = build.communicate(timeout=120)
    assert build.returncode == 0, err
    assert first == (
        f"waiting for process {starting.pid}, which starts or stops the embedded engine\n"
    )
    assert waited < reads + 2
    assert last(err).startswith("ci-3.11-amd64: ")


def test_a_stop_waits_for_a_start(bare: Suite) -> None:
    with half_started(bare) as starting:
        stop = bare.start(*STOP)
        assert stop.stderr
        first = stop.stderr.readline()
    with stop:
        _, err = stop.communicate(timeout=120)
    assert f"waiting for process {starting.pid}, which " in first
    assert "stopped dockerd" in err
    assert not left(bare)
