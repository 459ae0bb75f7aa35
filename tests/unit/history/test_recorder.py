"""The record of a build, from its events."""

from __future__ import annotations

from streams import BOTH, CACHE, at, lines, record, recorded, steps, stream, vertex

from build_tasks.buildx import classification
from build_tasks.errors import StepError
from build_tasks.history.record import BuildRecord, StepKind
from build_tasks.history.recorder import Recorder, Snapshot
from build_tasks.history.vertex import Moment, StepEvent
from build_tasks.process import Completed


@BOTH
def test_a_first_build_runs_every_step_and_says_of_its_caches(version: str) -> None:
    one = record(stream(version, "first"))
    assert steps(one) == [("", 2, False), ("", 3, False), ("", 4, False)]
    assert all(step.ran and step.seconds > 0 for step in one.steps if step.kind is StepKind.STEP)
    (use,) = one.imports
    assert use.reference == CACHE
    assert use.error.endswith("not found")
    assert one.export
    assert one.export.reference == CACHE
    assert (one.export.error, one.export.seconds > 0) == ("", True)
    (base,) = [step for step in one.steps if step.kind is StepKind.BASE]
    assert (base.number, base.total) == (1, 4)
    assert not base.ran
    second = next(step for step in one.steps if step.number == 2)
    assert second.log[-1] == "step one"
    assert min(begin for step in one.steps for begin, _ in step.intervals) == 0
    context = next(step for step in one.steps if step.name.endswith("load build context"))
    assert (context.kind, context.bytes > 1000) == (StepKind.CONTEXT, True)


@BOTH
def test_a_cached_build_runs_no_step(version: str) -> None:
    one = record(stream(version, "cached"))
    assert steps(one) == [("", 2, True), ("", 3, True), ("", 4, True)]
    assert one.imports[0].error == ""
    copied = next(step for step in one.steps if step.number == 4)
    assert copied.seconds > 0.01  # its layer was fetched: that is no execution
    assert copied.inputs


@BOTH
def test_secrets_in_steps_are_hidden(version: str) -> None:
    one = record(stream(version, "first"))
    third = next(step for step in one.steps if step.number == 3)
    assert "password=*** MY_TOKEN=*** https://user:***@example.org/x" in third.name
    assert "hunter2" not in repr(one)
    assert "password=*** MY_TOKEN=*** https://user:***@example.org/x" in third.log


@BOTH
def test_a_failed_step_is_classified_from_its_events(version: str) -> None:
    recorder = recorded(stream(version, "failed"))
    completed = Completed(("buildx",), 1, "", recorder.messages)
    record = recorder.record(BuildRecord("x"))
    error = classification.classify(completed, "ci-3.11-amd64", record.steps)
    assert type(error) is StepError
    assert str(error).startswith("ci-3.11-amd64: line 3 (step ")
    assert str(error).endswith(", exit code 42)")
    (step,) = [s for s in record.steps if s.error]
    assert step.log == ("before", "line 1", "line 2", "line 3")
    assert recorder.snapshot() == Snapshot(total=1)


@BOTH
def test_a_cache_that_cannot_be_read_or_written_is_seen(version: str) -> None:
    one = record(stream(version, "import-error"))
    bad, good = one.imports
    assert bad.reference == "127.0.0.1:1/x:cache"
    assert "connection refused" in bad.error
    assert (good.reference, good.error) == (CACHE, "")
    assert all(step.cached for step in one.steps if step.kind is StepKind.STEP)
    failed = record(stream(version, "export-error"), "127.0.0.1:1/x:cache")
    assert failed.export
    assert "connection refused" in failed.export.error


@BOTH
def test_a_linked_copy_is_one_step(version: str) -> None:
    one = record(stream(version, "multi"))
    assert [(stage, number) for stage, number, _ in steps(one)] == [
        ("build", 2),
        ("main", 2),
        ("main", 3),
        ("main", 4),
        ("main", 5),
        ("other", 2),
    ]
    names = [step.name for step in one.steps]
    assert "[main 2/5] COPY --link --from=build /made /made" in names
    assert not any("LINK" in name for name in names)
    copy = next(step for step in one.steps if "COPY --link --from=build" in step.name)
    made = next(step for step in one.steps if step.stage == "build" and step.number == 2)
    assert made.digest in copy.inputs
    last = next(step for step in one.steps if step.stage == "main" and step.number == 5)
    assert set(last.inputs) <= {step.digest for step in one.steps}


@BOTH
def test_a_stream_that_ends_in_the_middle_is_a_record_too(version: str) -> None:
    text = stream(version, "first")
    recorder = recorded(text[: len(text) // 2])
    one = recorder.record(BuildRecord("x"))
    assert len(one.steps) > 0
    assert {step.error for step in one.steps} <= {"", "context canceled", one.imports[0].error}
    assert recorder.snapshot().running == ()
    recorder.feed(text[len(text) // 2 :])
    assert recorder.record(BuildRecord("x")) == one


@BOTH
def test_what_is_worth_a_line_is_told_once(version: str) -> None:
    heard: list[StepEvent] = []
    recorded(stream(version, "first"), on_event=heard.append)
    told = [
        (one.moment, one.number)
        for one in heard
        if one.moment not in {Moment.WARNING, Moment.OUTPUT}
    ]
    assert len(told) == len(set(told))
    ran = [one.name for one in heard if one.kind is StepKind.STEP and one.moment == Moment.DONE]
    assert len(ran) == 3
    (failed,) = [one for one in heard if one.moment == Moment.FAILED]
    assert (failed.kind, failed.text.endswith("not found")) == (StepKind.IMPORT, True)


def test_a_builders_clock_that_is_wrong_does_not_show() -> None:
    """BuildKit's clock is years behind; buildx's own vertices are by the clock of this machine."""
    recorder = Recorder()
    recorder.feed(lines(vertex(started="2001-02-03T04:05:06Z", completed="2001-02-03T04:05:16Z")))
    (step,) = recorder.record(BuildRecord("x")).steps
    assert 0 <= step.intervals[0][0] < 5
    assert step.seconds == 10


def test_the_snapshot_says_where_the_build_stands() -> None:
    recorder = Recorder()
    assert recorder.snapshot() == Snapshot()
    recorder.feed(
        lines(
            vertex("a", "[main 2/4] RUN a"),
            vertex("b", "[main 3/4] RUN b", started=at(1)),
            vertex("c", "[main 4/4] RUN c", started=at(1), completed=at(1), cached=True),
            vertex("d", "[internal] d", started=at(1)),
        )
    )
    running = ("[main 3/4] RUN b", "[internal] d")
    assert recorder.snapshot() == Snapshot(3, done=1, cached=1, running=running)


def test_a_step_of_another_build_is_left_out() -> None:
    """Seen on BuildKit 0.25: of two builds that wait for one step, one is told of the other's."""
    own = [
        vertex("d", "[3/3] RUN own", inputs=["c"]),
        vertex("c", "[2/3] RUN shared", inputs=["b"]),
    ]
    foreign = vertex("x", "[2/4] RUN shared", inputs=["y"], started=at(1), completed=at(2))
    begun_by_another = vertex("b", "[1/4] FROM base", started=at(1), completed=at(1))
    cached = vertex("c", "[2/3] RUN shared", started=at(2), completed=at(2), cached=True)
    one = record(lines(*own, begun_by_another, foreign, cached))
    assert [step.name for step in one.steps] == [
        "[3/3] RUN own",
        "[2/3] RUN shared",
        "[1/4] FROM base",
    ]
    assert not [step for step in one.steps if step.ran]


def test_a_build_of_which_another_one_has_begun_all_keeps_its_steps() -> None:
    shared = [
        vertex("c", "[2/3] RUN shared", inputs=["b"], started=at(1), completed=at(2)),
        vertex("b", "[1/3] FROM base", started=at(1), completed=at(1)),
    ]
    assert len(record(lines(*shared)).steps) == 2
