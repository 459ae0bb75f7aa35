"""Which jobs run when, which are repeated, and what becomes of the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from build_tasks.batch import schedule
from build_tasks.batch.schedule import Job, Outcome, Rules, State
from build_tasks.errors import ImagesError, Interrupted, NetworkError, RegistryError, StepError

PATIENCE = 10.0


class Watch:
    """Writes down what a watcher is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.pauses: list[float] = []

    def began(self, name: str) -> None:
        self.told.append(("began", name))

    def again(self, name: str, error: ImagesError, seconds: float) -> None:
        self.told.append((f"again: {error}", name))
        self.pauses.append(seconds)

    def ended(self, outcome: Outcome) -> None:
        self.told.append((outcome.state.value, outcome.name))


def run(
    *jobs: Job, watch: Watch | None = None, stop: Callable[[], None] = lambda: None, **rules: Any
) -> dict[str, Outcome]:
    given = Rules(**{"slots": 4, "pause": 0.01, **rules})
    return {one.name: one for one in schedule.run(jobs, given, watch or Watch(), stop=stop)}


def failing(*errors: ImagesError) -> Callable[[], str]:
    """Return work that fails in these ways, one after another, and then ends well."""
    todo = list(errors)

    def work() -> str:
        if todo:
            raise todo.pop(0)
        return "made"

    return work


def test_each_outcome_has_its_result_in_the_order_of_the_jobs() -> None:
    made = run(*(Job(name, lambda name=name: name * 2) for name in "cab"))  # type: ignore[misc]  # a default
    assert [(one.name, one.result, one.state) for one in made.values()] == [
        (name, name * 2, State.BUILT) for name in "cab"
    ]
    assert all(one.attempts == 1 for one in made.values())


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_no_more_than_the_slots_run_at_once_and_no_fewer(slots: int) -> None:
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


def test_a_failure_stops_nobody_else() -> None:
    made = run(Job("a", failing(StepError("a: no"))), Job("b", failing()), slots=1)
    assert made["a"].state is State.FAILED
    assert str(made["a"].error) == "a: no"
    assert made["b"].state is State.BUILT


def test_what_passes_is_repeated_and_what_does_not_is_not() -> None:
    watch = Watch()
    five = RegistryError("a: 503", transient=True)
    cut = NetworkError("a: cut", transient=True)
    made = run(
        Job("a", failing(five, cut)),
        Job("b", failing(StepError("b: no"))),
        Job("c", failing(RegistryError("c: not found"))),
        watch=watch,
    )
    assert (made["a"].state, made["a"].attempts) == (State.BUILT, 3)
    assert [what for what, name in watch.told if name == "a"] == [
        "began",
        "again: a: 503",
        "again: a: cut",
        "built",
    ]
    assert [made[name].attempts for name in "bc"] == [1, 1]
    assert 0.01 <= watch.pauses[0] <= 0.015
    assert 0.02 <= watch.pauses[1] <= 0.025  # twice as long, and a bit that differs


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 2), (3, 4)])
def test_repetitions_come_to_an_end(retries: int, attempts: int) -> None:
    errors = [NetworkError(f"a: {number}", transient=True) for number in range(9)]
    made = run(Job("a", failing(*errors)), retries=retries)
    assert (made["a"].state, made["a"].attempts) == (State.FAILED, attempts)
    assert made["a"].error is errors[attempts - 1]


def test_a_repetition_that_fails_for_good_is_the_last() -> None:
    made = run(Job("a", failing(NetworkError("cut", transient=True), StepError("no"))))
    assert isinstance(made["a"].error, StepError)
    assert made["a"].attempts == 2


def test_what_needs_others_waits_for_all_of_them() -> None:
    done: list[str] = []
    jobs = [Job(name, lambda name=name: done.append(name)) for name in ("x", "y")]  # type: ignore[misc]  # a default
    run(*jobs, Job("merge", lambda: done.append("merge"), needs=("x", "y")))
    assert done[2] == "merge"


def test_what_needs_one_that_failed_never_begins() -> None:
    watch = Watch()
    made = run(
        Job("x", failing(StepError("x: no"))),
        Job("y", failing()),
        Job("merge", failing(), needs=("x", "y")),
        Job("after", failing(), needs=("merge",)),
        watch=watch,
    )
    states = {name: one.state for name, one in made.items()}
    assert states == {
        "x": State.FAILED,
        "y": State.BUILT,
        "merge": State.SKIPPED,
        "after": State.SKIPPED,
    }
    assert ("began", "merge") not in watch.told
    assert made["merge"].attempts == 0


def test_failing_fast_ends_what_runs_and_begins_nothing_more() -> None:
    stopped, runs = threading.Event(), threading.Event()

    def long() -> None:
        runs.set()
        assert stopped.wait(PATIENCE)
        raise StepError("b: ended")

    def fails() -> None:
        assert runs.wait(PATIENCE)
        raise StepError("a: no")

    made = run(
        Job("a", fails),
        Job("b", long),
        Job("c", failing()),
        slots=2,
        fail_fast=True,
        stop=stopped.set,
    )
    assert [one.state for one in made.values()] == [State.FAILED, State.CANCELLED, State.SKIPPED]


def test_failing_fast_does_not_wait_for_a_pause() -> None:
    paused = threading.Event()

    class Told(Watch):
        def again(self, name: str, error: ImagesError, seconds: float) -> None:
            super().again(name, error, seconds)
            paused.set()

    def fails() -> None:
        assert paused.wait(PATIENCE)
        raise StepError("b: no")

    made = run(
        Job("a", failing(NetworkError("a: cut", transient=True))),
        Job("b", fails),
        watch=Told(),
        fail_fast=True,
        pause=100.0,
    )
    assert (made["a"].state, made["a"].attempts) == (State.CANCELLED, 1)
    assert made["a"].seconds < PATIENCE


def test_an_interrupt_ends_everything_and_says_what_was_done() -> None:
    watch, stopped, runs = Watch(), threading.Event(), threading.Event()

    class Stops(Watch):
        def began(self, name: str) -> None:
            watch.began(name)
            if name == "c":
                assert runs.wait(PATIENCE)
                raise Interrupted  # as the handler of a signal does

        def ended(self, outcome: Outcome) -> None:
            watch.ended(outcome)

    def long() -> None:
        runs.set()
        assert stopped.wait(PATIENCE)
        raise Interrupted

    with pytest.raises(Interrupted):
        run(
            *(Job("a", failing()), Job("b", long), Job("c", failing()), Job("d", failing())),
            watch=Stops(),
            slots=2,
            stop=stopped.set,
        )
    assert ("built", "a") in watch.told
    assert ("cancelled", "b") in watch.told
    assert ("skipped", "c") in watch.told
    assert ("skipped", "d") in watch.told
    assert threading.active_count() == 1


def test_a_job_that_does_not_end_holds_nobody_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "PATIENCE", 0.1)
    runs, released = threading.Event(), threading.Event()
    watch = Watch()

    def stuck() -> None:
        runs.set()
        released.wait()

    def interrupted() -> None:
        assert runs.wait(PATIENCE)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(Job("a", stuck), Job("b", interrupted), watch=watch)
    assert ("cancelled", "a") in watch.told
    (thread,) = [one for one in threading.enumerate() if one.name == "a"]
    assert thread.daemon  # Python does not wait for it, either
    released.set()
    thread.join(PATIENCE)


def test_a_fault_of_ours_is_not_swallowed() -> None:
    def wrong() -> None:
        raise ZeroDivisionError

    stopped = threading.Event()
    with pytest.raises(ZeroDivisionError):
        run(Job("a", wrong), Job("b", lambda: stopped.wait(PATIENCE)), stop=stopped.set)
    assert stopped.is_set()
