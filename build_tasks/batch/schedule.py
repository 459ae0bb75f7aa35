"""Run jobs that depend on each other, up to a limit at once, and retry transient errors.

A job is a function, and nothing here knows what it does. Jobs run in threads, since all they do is
wait for other programs.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from enum import StrEnum
from graphlib import TopologicalSorter
from typing import Any, Protocol

from build_tasks.errors import ImagesError, from_os_error
from build_tasks.text.formatting import listed

#: Seconds between two attempts at most.
LONGEST_PAUSE = 30.0
#: Seconds that jobs have to return after their programs were ended.
PATIENCE = 20.0


class State(StrEnum):
    """How a job ended."""

    BUILT = "built"
    FAILED = "failed"
    SKIPPED = "skipped"  # never started
    CANCELLED = "cancelled"  # ended while it ran


@dataclass(frozen=True)
class Job:
    """A function to call once the jobs that it needs have succeeded."""

    name: str  # unique, like `ci-3.11-amd64`
    work: Callable[[], Any]  # returns the result, or raises ImagesError
    needs: tuple[str, ...] = ()  # names of other jobs


@dataclass(frozen=True)
class Outcome:
    """What became of a job."""

    name: str
    state: State
    result: Any = None
    error: ImagesError | None = None
    attempts: int = 0
    seconds: float = 0.0  # with the pauses between its attempts


@dataclass(frozen=True)
class Rules:
    """How jobs are run."""

    slots: int
    retries: int = 2
    fail_fast: bool = False
    pause: float = 1.0  # seconds before the first retry; they double up to the longest pause


class Listener(Protocol):
    """Hears of each job; `again` is called from the job's thread, the rest from `run`'s."""

    def began(self, name: str) -> None:
        """Hear that a job starts."""

    def again(self, name: str, error: ImagesError, seconds: float) -> None:
        """Hear that a job is retried after a pause."""

    def ended(self, name: str, state: State, error: ImagesError | None, seconds: float) -> None:
        """Hear how a job ended, or that it never started."""


class Schedule:
    """Runs jobs and collects their outcomes.

    Args:
        jobs: in the order in which they start where dependencies allow it.
        rules: how they are run.
        listener: hears of each job.
    """

    def __init__(self, jobs: Sequence[Job], rules: Rules, listener: Listener) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self._jobs = {job.name: job for job in jobs}
        self._rules = rules
        self._listener = listener
        self._stop: Callable[[], None] = lambda: None
        self._stopped = threading.Event()
        self._running: dict[Future[Outcome], threading.Thread] = {}
        self._sorter = TopologicalSorter({job.name: job.needs for job in jobs})

    def results(self) -> list[Outcome]:
        """Return what became of the jobs that have ended so far, in the order of the jobs."""
        return [self.outcomes[name] for name in self._jobs if name in self.outcomes]

    def run(self, stop: Callable[[], None]) -> None:
        """Run all jobs. After an exception, `outcomes` has what became of each so far.

        Args:
            stop: ends the programs that jobs wait for; called from another thread than theirs.

        Raises:
            BaseException: ^C, or what a job raised that is no ImagesError or OSError. All jobs
                have ended by then, or had `PATIENCE` seconds to.
        """
        self._stop = stop
        ready: deque[str] = deque()
        self._sorter.prepare()
        try:
            while self._sorter.is_active():
                ready.extend(self._sorter.get_ready())
                while ready and len(self._running) < self._rules.slots:
                    self._start(self._jobs[ready.popleft()])
                if self._running:
                    self._collect()
        except BaseException:
            self._abandon()
            raise

    def _start(self, job: Job) -> None:
        missing = [name for name in job.needs if self.outcomes[name].state is not State.BUILT]
        if self._stopped.is_set() or missing:
            reason = f"it needs {listed(missing)}" if missing else ""
            self._end(Outcome(job.name, State.SKIPPED, reason))
            self._sorter.done(job.name)
            return
        self._listener.began(job.name)
        future: Future[Outcome] = Future()
        # No ThreadPoolExecutor: Python waits for its threads at exit, however long they take.
        thread = threading.Thread(
            target=self._fulfil, args=(job, future), name=job.name, daemon=True
        )
        self._running[future] = thread
        thread.start()

    def _collect(self) -> None:
        """Wait until a job ends."""
        for future in wait(self._running, return_when=FIRST_COMPLETED).done:
            outcome = future.result()
            self._running.pop(future).join(PATIENCE)
            self._end(outcome)
            self._sorter.done(outcome.name)
            if outcome.state is State.FAILED and self._rules.fail_fast:
                self._halt()

    def _abandon(self) -> None:
        """End the running jobs, and record what became of every job."""
        try:
            self._halt()
        finally:
            # A signal can arrive before the thread of a job has started.
            started = [future for future, thread in self._running.items() if thread.ident]
            done = wait(started, PATIENCE).done
        for future in done:
            if future.exception() is None:
                self._end(future.result())
        running = {thread.name for thread in self._running.values()}
        for name in self._jobs:
            if name not in self.outcomes:
                self._end(Outcome(name, State.CANCELLED if name in running else State.SKIPPED))

    def _halt(self) -> None:
        if not self._stopped.is_set():
            self._stopped.set()
            self._stop()

    def _end(self, outcome: Outcome) -> None:
        self.outcomes[outcome.name] = outcome
        self._listener.ended(outcome.name, outcome.state, outcome.error, outcome.seconds)

    def _fulfil(self, job: Job, future: Future[Outcome]) -> None:
        try:
            future.set_result(self._attempts(job))
        except BaseException as error:  # noqa: BLE001 - `_collect` raises it in the main thread
            future.set_exception(error)

    def _attempts(self, job: Job) -> Outcome:
        """Call the job's function, retrying transient errors with exponential back-off."""
        began = time.monotonic()
        attempts = 0
        while True:
            attempts += 1
            state, result, error = State.FAILED, None, None
            try:
                result, state = job.work(), State.BUILT
            except ImagesError as caught:
                error = caught
            except OSError as caught:  # of this job alone: the others go on
                error = from_os_error(caught)
                error.__cause__ = caught
            except BaseException:
                if not self._stopped.is_set():
                    raise
            if not (error and error.transient) or attempts > self._rules.retries:
                break
            pause = min(self._rules.pause * 2 ** (attempts - 1), LONGEST_PAUSE)
            pause += random.uniform(0, self._rules.pause / 2)  # noqa: S311 - no cryptography
            self._listener.again(job.name, error, pause)
            if self._stopped.wait(pause):
                break
        if state is State.FAILED and self._stopped.is_set():
            state, error = State.CANCELLED, None  # it failed because it was ended
        return Outcome(job.name, state, result, error, attempts, time.monotonic() - began)
