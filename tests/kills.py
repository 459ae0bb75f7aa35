"""Kill the suite at any moment, and look at what it leaves."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from suite import Suite

#: The variable that all processes of a command have, so that those that outlive it are found.
_RUN = "TESTS_KILLS_RUN"
#: Seconds for a command that was killed, and for what it started, to end.
_ENDS = 60.0


class Whom(StrEnum):
    """Who is sent a signal."""

    FRONT_END = "front end"
    GROUP = "group"
    CHILD = "child"


@dataclass(frozen=True)
class Kill:
    """What is killed, by what, and when."""

    command: tuple[str, ...]
    whom: Whom
    signum: signal.Signals
    delay: float
    #: Which of the children: 0 is the first, and just below 1 the last.
    pick: float

    def __str__(self) -> str:
        words = " ".join(self.command)
        return f"{self.signum.name} to the {self.whom} of `{words}` after {self.delay:.3f} s"


@dataclass(frozen=True)
class Ended:
    """What became of a command that was killed."""

    kill: Kill
    returncode: int
    output: str
    #: What was still running a minute after the command itself had ended.
    orphans: list[str]
    #: Whether the command had ended before it was killed.
    late: bool


@dataclass
class Dice:
    """Draws kills; the same seed draws the same."""

    seed: int
    source: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.source = random.Random(self.seed)  # noqa: S311 - not for secrets

    def kill(self, command: tuple[str, ...], duration: float) -> Kill:
        """Return a kill at any moment of a command that lasts so many seconds if it is left."""
        return Kill(
            command,
            self.source.choice([*Whom]),
            self.source.choice([signal.SIGINT, signal.SIGTERM, signal.SIGKILL]),
            self.source.uniform(0, duration * 1.05),
            self.source.random(),
        )


def seed() -> int:
    """Return the seed of a run: that of the environment, or a new one."""
    return int(os.environ.get("AIRFLOW_IMAGES_TESTS_SEED") or secrets.randbelow(1_000_000))


def carry_out(suite: Suite, kill: Kill, folder: Path) -> Ended:
    """Start a command, kill it, and wait until all that it started has ended.

    Args:
        suite: the suite.
        kill: what to do.
        folder: a folder for its output.
    """
    run = secrets.token_hex(8)
    log = folder / f"kill-{run}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *kill.command],
            cwd=suite.root,
            env={**suite.environment, _RUN: run},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        time.sleep(kill.delay)
        late = process.poll() is not None
        if not late:  # its id may be another process's by now
            _send(process, kill)
        try:
            returncode = process.wait(_ENDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            text = log.read_text(errors="replace")
            raise AssertionError(f"{kill}: it did not end in a minute:\n{text}") from None
    orphans = _wait_for_orphans(run)
    return Ended(kill, returncode, log.read_text(errors="replace"), orphans, late)


def duration(suite: Suite, *command: str) -> float:
    """Run a command that has to succeed, and return its seconds."""
    before = time.monotonic()
    done = suite.run(*command)
    assert done.returncode == 0, done.stderr[-3000:]
    return time.monotonic() - before


def _send(process: subprocess.Popen[bytes], kill: Kill) -> None:
    with contextlib.suppress(ProcessLookupError):
        if kill.whom is Whom.GROUP:
            os.killpg(process.pid, kill.signum)
            return
        children = sorted(_descendants(process.pid)) if kill.whom is Whom.CHILD else []
        whom = children[int(kill.pick * len(children))] if children else process.pid
        os.kill(whom, kill.signum)


def _descendants(pid: int) -> Iterator[int]:
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    for child in list(parents):
        above = child
        while above := parents.get(above, 0):
            if above == pid:
                yield child
                break


def _wait_for_orphans(run: str) -> list[str]:
    deadline = time.monotonic() + _ENDS
    while (left := _having(f"{_RUN}={run}".encode())) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def _having(variable: bytes) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if variable in (process / "environ").read_bytes().split(b"\0"):
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found.append(f"{process.name}: {words}")
    return found


def running(folders: tuple[str, ...]) -> list[str]:
    """Return the command lines of what runs with a path in one of these folders."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if any(folder in words for folder in folders) and int(process.name) != os.getpid():
                found.append(f"{process.name}: {words}")
    return found


def alive(ended: list[Ended]) -> int:
    """Return how many commands still ran when they were killed."""
    return sum(not one.late for one in ended)


def report(name: str, ended: list[Ended]) -> None:
    """Print how often who was sent what; a command that had ended before does not count."""
    kills = [one.kill for one in ended if not one.late]
    counts = Counter(f"{kill.signum.name} to the {kill.whom}" for kill in kills)
    told = ", ".join(f"{number} {what}" for what, number in sorted(counts.items()))
    print(f"{name}: {len(kills)} kills ({told})")
