"""Which jobs run when, which are retried, and what becomes of the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from build_tasks.batch import schedule
from build_tasks.batch.schedule import Job, Outcome, Rules, Schedule, State
from build_tasks.errors import ImagesError, Interrupted, NetworkError, RegistryError, StepError

PATIENCE = 10.0


class Listener:
    """Records what it hears."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.pauses: list[float] = []

    def began(self, name: str) -> None:
        self.events.append(("began", name))

    def again(self, name: str, error: ImagesError, seconds: float) -> None:
        self.events.append((f"again: {error}", name))
        self.pauses.append(seconds)

    def ended(self, name: str, state: State, error: ImagesError | None, seconds: float) -> None:
        assert seconds >= 0
        assert (error is not None) is (state is State.FAILED)
        self.events.append((state.value, name))


def run(
    *jobs: Job,
    listener: Listener | None = None,
    stop: Callable[[], None] = lambda: None,
    **rules: Any,
) -> dict[str, Outcome]:
    values = {"slots": 4, "pause": 0.01, **rules}
    schedule = Schedule(jobs, Rules(**values), listener or Listener())
    schedule.run(stop)
    return {job.name: schedule.outcomes[job.name] for job in jobs}


def failing(*errors: ImagesError) -> Callable[[], str]:
    """Return work that fails in these ways, outcome after another, and then ends well."""
    todo = list(errors)

    def work() -> str:
        if todo:
            raise todo.pop(0)
        return "made"

    return work


def test_each_outcome_has_the_result_of_its_job() -> None:
    outcomes = run(*(Job(name, lambda name=name: name * 2) for name in "cab"))  # type: ignore[misc]  # a default
    assert [(outcome.name, outcome.result, outcome.state) for outcome in outcomes.values()] == [
        (name, name * 2, State.BUILT) for name in "cab"
    ]
    assert all(outcome.attempts == 1 for outcome in outcomes.values())


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_as_many_jobs_run_at_once_as_there_are_slots(slots: int) -> None:
    lock, together = threading.Lock(), threading.Barrier(slots)
    running, most = 0, 0

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(PATIENCE)  # ends only when so many are there
        with lock:
            running -= 1

    run(*(Job(str(number), work) for number in range(slots * 2)), slots=slots)
    assert most == slots


def test_a_failure_stops_no_other_job() -> None:
    outcomes = run(Job("a", failing(StepError("a: no"))), Job("b", failing()), slots=1)
    assert outcomes["a"].state is State.FAILED
    assert str(outcomes["a"].error) == "a: no"
    assert outcomes["b"].state is State.BUILT


def test_only_transient_errors_are_retried() -> None:
    listener = Listener()
    five = RegistryError("a: 503", transient=True)
    cut = NetworkError("a: cut", transient=True)
    outcomes = run(
        Job("a", failing(five, cut)),
        Job("b", failing(StepError("b: no"))),
        Job("c", failing(RegistryError("c: not found"))),
        listener=listener,
    )
    assert (outcomes["a"].state, outcomes["a"].attempts) == (State.BUILT, 3)
    assert [what for what, name in listener.events if name == "a"] == [
        "began",
        "again: a: 503",
        "again: a: cut",
        "built",
    ]
    assert [outcomes[name].attempts for name in "bc"] == [1, 1]
    assert 0.01 <= listener.pauses[0] <= 0.015
    assert 0.02 <= listener.pauses[1] <= 0.025  # twice as long, and a bit that differs


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 2), (3, 4)])
def test_retries_are_limited(retries: int, attempts: int) -> None:
    errors = [NetworkError(f"a: {number}", transient=True) for number in range(9)]
    outcomes = run(Job("a", failing(*errors)), retries=retries)
    assert (outcomes["a"].state, outcomes["a"].attempts) == (State.FAILED, attempts)
    assert outcomes["a"].error is errors[attempts - 1]


def test_a_permanent_error_ends_the_retries() -> None:
    outcomes = run(Job("a", failing(NetworkError("cut", transient=True), StepError("no"))))
    assert isinstance(outcomes["a"].error, StepError)
    assert outcomes["a"].attempts == 2


def test_a_job_waits_for_all_that_it_needs() -> None:
    done: list[str] = []
    jobs = [Job(name, lambda name=name: done.append(name)) for name in ("x", "y")]  # type: ignore[misc]  # a default
    run(*jobs, Job("merge", lambda: done.append("merge"), needs=("x", "y")))
    assert done[2] == "merge"


def test_a_job_that_needs_a_failed_one_is_skipped() -> None:
    listener = Listener()
    outcomes = run(
        Job("x", failing(StepError("x: no"))),
        Job("y", failing()),
        Job("merge", failing(), needs=("x", "y")),
        Job("after", failing(), needs=("merge",)),
        listener=listener,
    )
    states = {name: outcome.state for name, outcome in outcomes.items()}
    assert states == {
        "x": State.FAILED,
        "y": State.BUILT,
        "merge": State.SKIPPED,
        "after": State.SKIPPED,
    }
    assert ("began", "merge") not in listener.events
    assert outcomes["merge"].attempts == 0
    assert outcomes["merge"].result == "it needs x"
    assert outcomes["after"].result == "it needs merge"


def test_fail_fast_ends_running_jobs_and_skips_the_rest() -> None:
    stopped, runs = threading.Event(), threading.Event()

    def long() -> None:
        runs.set()
        assert stopped.wait(PATIENCE)
        raise StepError("b: ended")

    def fails() -> None:
        assert runs.wait(PATIENCE)
        raise StepError("a: no")

    outcomes = run(
        Job("a", fails),
        Job("b", long),
        Job("c", failing()),
        slots=2,
        fail_fast=True,
        stop=stopped.set,
    )
    assert [outcome.state for outcome in outcomes.values()] == [
        State.FAILED,
        State.CANCELLED,
        State.SKIPPED,
    ]


def test_fail_fast_does_not_wait_for_the_pause_of_a_retry() -> None:
    paused = threading.Event()

    class Pauses(Listener):
        def again(self, name: str, error: ImagesError, seconds: float) -> None:
            super().again(name, error, seconds)
            paused.set()

    def fails() -> None:
        assert paused.wait(PATIENCE)
        raise StepError("b: no")

    outcomes = run(
        Job("a", failing(NetworkError("a: cut", transient=True))),
        Job("b", fails),
        listener=Pauses(),
        fail_fast=True,
        pause=100.0,
    )
    assert (outcomes["a"].state, outcomes["a"].attempts) == (State.CANCELLED, 1)
    assert outcomes["a"].seconds < PATIENCE


def test_an_interrupt_ends_all_jobs_and_reports_their_outcomes() -> None:
    listener, stopped, runs = Listener(), threading.Event(), threading.Event()

    class Interrupts(Listener):
        def began(self, name: str) -> None:
            listener.began(name)
            if name == "c":
                assert runs.wait(PATIENCE)
                raise Interrupted  # as the handler of a signal does

        def ended(self, name: str, state: State, error: ImagesError | None, seconds: float) -> None:
            listener.ended(name, state, error, seconds)

    def long() -> None:
        runs.set()
        assert stopped.wait(PATIENCE)
        raise Interrupted

    with pytest.raises(Interrupted):
        run(
            *(Job("a", failing()), Job("b", long), Job("c", failing()), Job("d", failing())),
            listener=Interrupts(),
            slots=2,
            stop=stopped.set,
        )
    assert ("built", "a") in listener.events
    assert ("cancelled", "b") in listener.events
    assert ("skipped", "c") in listener.events
    assert ("skipped", "d") in listener.events
    assert threading.active_count() == 1


def test_a_job_that_does_not_end_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "PATIENCE", 0.1)
    runs, released = threading.Event(), threading.Event()
    listener = Listener()

    def stuck() -> None:
        runs.set()
        released.wait()

    def interrupted() -> None:
        assert runs.wait(PATIENCE)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(Job("a", stuck), Job("b", interrupted), listener=listener)
    assert ("cancelled", "a") in listener.events
    (thread,) = [outcome for outcome in threading.enumerate() if outcome.name == "a"]
    assert thread.daemon  # Python does not wait for it, either
    released.set()
    thread.join(PATIENCE)


def test_an_unexpected_exception_is_raised() -> None:
    def wrong() -> None:
        raise ZeroDivisionError

    stopped = threading.Event()
    with pytest.raises(ZeroDivisionError):
        run(Job("a", wrong), Job("b", lambda: stopped.wait(PATIENCE)), stop=stopped.set)
    assert stopped.is_set()
