"""What all displays have in common: the state of each build, and its log.

Each build runs in a thread of its own. A lock guards the logs; nothing is shown while it is held,
because a display may wait for a slow terminal. A row is replaced as a whole, by the thread of its
build, and needs no lock.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from build_tasks import console, paths
from build_tasks.buildx.attempt import Listener
from build_tasks.errors import ImagesError
from build_tasks.history.events import Line
from build_tasks.history.recorder import Recorder, Snapshot
from build_tasks.history.vertex import StepEvent
from build_tasks.model.build import BuildSpec, Output
from build_tasks.progress.logfile import Log
from build_tasks.text.formatting import duration

#: Columns of a line where no terminal says otherwise.
WIDTH = 120


@dataclass(frozen=True)
class Row:
    """The state of a build."""

    name: str
    state: str = "waiting"  # waiting, building, retrying, built, failed, skipped or cancelled
    message: str = ""  # why it failed or is retried
    began: float = 0.0  # when it began, by `time.monotonic()`; 0 before that
    seconds: float = 0.0  # how long it took; 0 before its end
    attempts: int = 0  # how often it was started
    recorder: Recorder | None = None  # follows its current attempt

    @property
    def progress(self) -> Snapshot:
        """The progress of the current attempt."""
        return self.recorder.snapshot() if self.recorder else Snapshot()

    @property
    def outcome(self) -> str:
        """The end of the build: `built in 2 min 5 s, 3 of 9 steps cached`."""
        if not self.attempts:
            return self.state
        progress = self.progress
        details = f", {progress.cached} of {progress.total} steps cached" if progress.total else ""
        if self.message:
            details = f": {self.message}"
        word = "in" if self.state == "built" else "after"
        return f"{self.state} {word} {duration(self.seconds)}{details}"


class Display(Listener):
    """Follows builds and keeps their logs; subclasses show them.

    Its methods may be called from any thread. It is the listener of the driver, too: see
    `build_tasks.buildx.attempt.Listener`.

    Args:
        logs: the folder for the logs.
        width: the columns after which lines are shortened.
        verbose: show the whole command of each build.
    """

    #: Whether the beginning of a build is shown.
    shows_start = True
    #: Whether the outcome of each of several builds is.
    shows_outcome = False

    def __init__(self, logs: Path, *, width: int = WIDTH, verbose: bool = False) -> None:
        self.rows: dict[str, Row] = {}
        self._folder = logs
        self._logs: dict[str, Log] = {}
        self._lock = threading.Lock()
        self._width = width
        self._verbose = verbose
        self._warned = False  # that logs cannot be written

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the logs."""
        for log in self._logs.values():
            log.close()

    def path(self, name: str) -> Path:
        """Return the path of a build's log."""
        return self._folder / f"{name}.log"

    def log_file(self, name: str) -> str:
        """Return the path of a build's log; empty if there is none."""
        with self._lock:
            log = self._logs.get(name)
            return str(log.path) if log and not log.problem else ""

    def expect(self, names: Sequence[str]) -> None:
        """Set the builds that are to come, in the order in which they are shown."""
        self.rows = {name: Row(name) for name in names}

    def began(self, name: str) -> None:
        """Start a build, for the first time or again."""
        row = self.rows[name]
        began = row.began or time.monotonic()
        self.rows[name] = Row(name, "building", began=began, attempts=row.attempts + 1)

    def start(self, spec: BuildSpec, command: str, recorder: Recorder) -> None:
        """Start an attempt of a build."""
        name = spec.identity
        row = self.rows[name]
        with self._lock:
            log = self.log(name)
            log.begin(command)
        self.rows[name] = replace(row, recorder=recorder)
        if row.attempts <= 1 and row.recorder is None:
            with contextlib.suppress(OSError):  # a problem with the folder is the log's to report
                target = Path(self._folder.name, log.path.name)
                paths.link(self._folder.with_name(log.path.name), target)
            if self.shows_start:
                self.show(name, f"{_summary(spec)} (log: {log.path})")
        if self._verbose:
            console.message(f"+ {command}")

    def line(self, name: str, line: Line) -> None:
        """Take a line of buildx's output; its events come separately."""
        if line.events is None:
            with self._lock:
                self.log(name).line(line.text)

    def step(self, name: str, event: StepEvent) -> None:
        """Take a change of a vertex."""
        with self._lock:
            self.log(name).step(event)

    def say(self, name: str, text: str) -> None:
        """Take a message of ours about a build."""
        with self._lock:
            self.log(name).line(text)
        self.show(name, text)

    def result(self, name: str, text: str) -> None:
        """Take what a build made."""
        self.say(name, text)

    def text(self, name: str, line: str) -> None:
        """Take a line of a program that does not write events."""
        self.line(name, Line(line))

    def again(self, name: str, error: ImagesError, seconds: float) -> None:
        """Report that a build is retried after so many seconds."""
        text = f"{reason(name, error)}: retrying in {seconds:.1f} s"
        self.rows[name] = replace(self.rows[name], state="retrying", message=text)
        self.say(name, text)

    def ended(self, name: str, state: str, error: ImagesError | None, seconds: float) -> None:
        """Report the outcome of a build: built, failed, skipped or cancelled."""
        message = reason(name, error) if error else ""
        row = self.rows[name]
        self.rows[name] = replace(row, state=state, seconds=seconds, message=message)
        log = self._logs.get(name)
        if log and log.problem and not self._warned:
            self._warned = True
            self.show(name, log.problem)
        if self.shows_outcome and len(self.rows) > 1:
            self.show(name, self.rows[name].outcome)

    def show(self, name: str, text: str) -> None:
        """Show a message about a build."""
        console.message(f"{name}: {text}")

    def log(self, name: str) -> Log:
        """Return the log of a build."""
        if name not in self._logs:
            self._logs[name] = Log(self.path(name))
        return self._logs[name]


def reason(name: str, error: ImagesError) -> str:
    """Return an error without the build's name in front."""
    return str(error).removeprefix(f"{name}: ")


def _summary(spec: BuildSpec) -> str:
    """Return what a build makes: `building and pushing IMAGE:TAG for linux/amd64`."""
    output, platforms = spec.output, ", ".join(spec.platforms)
    tags = ", ".join(output.tags)
    cache = f", cache to {spec.cache.export.reference}" if spec.cache.export else ""
    what = {
        Output.LOAD: f" and loading {tags}",
        Output.PUSH: f" and pushing {tags}",
        Output.DIGEST: f" and pushing {output.image} by digest",
        Output.NONE: "",
    }[output.kind]
    return f"building{what} for {platforms}{cache}"
