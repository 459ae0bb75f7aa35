"""Jobs and what became of them: which run when, which are repeated, and what waits for what.

Nothing here knows what a job does: a job is a function, and an outcome is data. Threads, because
all that a job does is to wait for a program.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from queue import SimpleQueue
from typing import Any, Protocol

from build_tasks.errors import ImagesError, of_system

#: Seconds before the first repetition, and at most before a later one; between them it doubles.
PAUSE = 1.0
LONGEST_PAUSE = 30.0
#: Seconds that jobs have to end after what they wait for has been ended.
PATIENCE = 20.0


class State(StrEnum):
    """How a job ended."""

    BUILT = "built"
    FAILED = "failed"
    SKIPPED = "skipped"  # it never began
    CANCELLED = "cancelled"  # it was ended while it ran


@dataclass(frozen=True)
class Job:
    """One thing to do.

    Args:
        name: what it is called, like `ci-3.11-amd64`; no two have the same.
        work: does it once, and returns what came of it or raises ImagesError.
        needs: the names of jobs, earlier in the list, that have to end well before it begins.
    """

    name: str
    work: Callable[[], Any]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Args:
        name: the job's.
        state: how it ended.
        result: what it returned, None unless it ended well.
        error: why it failed.
        attempts: how often it was begun.
        seconds: what all attempts took, with the pauses between them.
    """

    name: str
    state: State
    result: Any = None
    error: ImagesError | None = None
    attempts: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Rules:
    """How jobs are run.

    Args:
        slots: the most that run at once.
        retries: how often a job is repeated that failed for a reason that passes.
        fail_fast: end everything when one job has failed for good.
        pause: seconds before the first repetition.
    """

    slots: int
    retries: int = 2
    fail_fast: bool = False
    pause: float = PAUSE


class Watcher(Protocol):
    """Is told what happens; `again` comes from a job's own thread, the others from the caller's."""

    def began(self, name: str) -> None:
        """Hear that a job begins."""

    def again(self, name: str, error: ImagesError, seconds: float) -> None:
        """Hear that a job is repeated after so many seconds, and why."""

    def ended(self, outcome: Outcome) -> None:
        """Hear what became of a job, also of one that never began."""


def run(
    jobs: Sequence[Job], rules: Rules, watcher: Watcher, *, stop: Callable[[], None]
) -> list[Outcome]:
    """Run jobs, and return what became of each, in their order.

    Args:
        jobs: what is to be done.
        rules: how.
        watcher: is told what happens.
        stop: ends what the jobs wait for, from another thread.

    Raises:
        BaseException: what a job raised that is no ImagesError, or ^C, after all have ended.
    """
    return _Run(jobs, rules, watcher, stop).run()


class _Run:
    """One run: what waits, what is under way, and what has ended."""

    def __init__(
        self, jobs: Sequence[Job], rules: Rules, watcher: Watcher, stop: Callable[[], None]
    ) -> None:
        self._order = [job.name for job in jobs]
        self._waiting = list(jobs)
        self._running: dict[str, threading.Thread] = {}
        self._ended: dict[str, Outcome] = {}
        self._came: SimpleQueue[Outcome | BaseException] = SimpleQueue()
        self._rules = rules
        self._watcher = watcher
        self._stop = stop
        self._halted = threading.Event()

    def run(self) -> list[Outcome]:
        try:
            while self._waiting or self._running:
                self._begin()
                if self._running:
                    self._take(self._came.get())
        except BaseException:
            self._abandon()
            raise
        return [self._ended[name] for name in self._order]

    def _abandon(self) -> None:
        """End what runs, wait for it as long as there is patience, and say what became of it."""
        try:
            self._halt()
        finally:
            until = time.monotonic() + PATIENCE
            for thread in self._running.values():
                if thread.ident:  # a signal can come before it is started
                    thread.join(max(until - time.monotonic(), 0))
        while not self._came.empty():
            came = self._came.get()
            if isinstance(came, Outcome):
                self._end(came)
        for name in self._order:
            if name not in self._ended:
                begun = name in self._running
                self._end(Outcome(name, State.CANCELLED if begun else State.SKIPPED))

    def _begin(self) -> None:
        """Begin what can begin, and give up what never can."""
        for job in [*self._waiting]:
            needed = [self._ended.get(name) for name in job.needs]
            lost = any(one and one.state is not State.BUILT for one in needed)
            if lost or self._halted.is_set():
                self._waiting.remove(job)
                self._end(Outcome(job.name, State.SKIPPED))
            elif all(needed) and len(self._running) < self._rules.slots:
                self._waiting.remove(job)
                self._watcher.began(job.name)
                # A daemon: Python waits for all others at its end, without bound.
                thread = threading.Thread(target=self._do, args=(job,), name=job.name, daemon=True)
                self._running[job.name] = thread
                thread.start()

    def _take(self, came: Outcome | BaseException) -> None:
        if isinstance(came, BaseException):
            raise came
        self._running.pop(came.name).join(PATIENCE)
        self._end(came)
        if came.state is State.FAILED and self._rules.fail_fast:
            self._halt()

    def _end(self, outcome: Outcome) -> None:
        self._ended[outcome.name] = outcome
        self._watcher.ended(outcome)

    def _halt(self) -> None:
        if not self._halted.is_set():
            self._halted.set()
            self._stop()

    def _do(self, job: Job) -> None:
        """Do a job in its thread; whatever comes of it is handed over."""
        began = time.monotonic()
        tries = 0

        def attempt() -> Any:
            nonlocal tries
            tries += 1
            try:
                return job.work()
            except OSError as error:  # of this job alone: the others go on
                raise of_system(error) from error

        try:
            result, state, error = self._insist(job.name, attempt), State.BUILT, None
        except ImagesError as caught:
            state = State.CANCELLED if self._halted.is_set() else State.FAILED
            result, error = None, caught
        except BaseException as caught:  # noqa: BLE001 - a fault of ours is the caller's to see
            if not self._halted.is_set():
                self._came.put(caught)
                return
            result, state, error = None, State.CANCELLED, None
        seconds = time.monotonic() - began
        self._came.put(Outcome(job.name, state, result, error, tries, seconds))

    def _insist(self, name: str, attempt: Callable[[], Any]) -> Any:
        """Return what came of the first attempt that did not fail for a reason that passes."""
        try:
            return attempt()
        except ImagesError as error:
            if not (error.transient and self._rules.retries) or self._halted.is_set():
                raise
            failed = error
        # Its own import takes longer than many a build that the cache answers: only after a fault.
        import tenacity  # noqa: PLC0415 - see above

        def told(state: tenacity.RetryCallState) -> None:
            error = state.outcome and state.outcome.exception()
            assert isinstance(error, ImagesError)  # noqa: S101 - nothing else is repeated
            self._watcher.again(name, error, state.upcoming_sleep)

        known = iter([failed])

        def again() -> Any:
            for error in known:  # of the attempt that was made already
                raise error
            if self._halted.is_set():  # while it paused
                raise failed
            return attempt()

        passes = tenacity.retry_if_exception(lambda error: getattr(error, "transient", False))
        pause = tenacity.wait_exponential(self._rules.pause, LONGEST_PAUSE)
        return tenacity.Retrying(
            retry=passes,
            stop=tenacity.stop_after_attempt(self._rules.retries + 1)
            | tenacity.stop_when_event_set(self._halted),
            wait=pause + tenacity.wait_random(0, self._rules.pause / 2),
            sleep=tenacity.sleep_using_event(self._halted),
            before_sleep=told,
            reraise=True,
        )(again)
