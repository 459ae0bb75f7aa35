"""The streams are what buildx 0.29.1 (Docker 28.5.2) and 0.13.1 (26.1.5) wrote of small builds."""

from __future__ import annotations

import base64
import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from build_tasks.buildx import classification
from build_tasks.errors import StepError
from build_tasks.history.record import BuildRecord, CacheUse, StepKind
from build_tasks.history.recorder import Recorder, Snapshot
from build_tasks.history.vertex import MAX_LINES, MAX_PARTS, Moment, StepEvent
from build_tasks.process import Completed

STREAMS = Path(__file__).parents[2] / "data" / "streams"
CACHE = "localhost:5000/airflow/ci:cache"
BOTH = pytest.mark.parametrize("version", ["0.29", "0.13"])


def stream(version: str, name: str) -> bytes:
    return gzip.decompress((STREAMS / version / f"{name}.txt.gz").read_bytes())


def recorded(text: bytes, piece: int = 1000, **how: Any) -> Recorder:
    recorder = Recorder(live=False, **how)
    for at in range(0, len(text), piece):
        recorder.feed(text[at : at + piece])
    recorder.end()
    return recorder


def record(text: bytes, export: str = CACHE, **how: Any) -> BuildRecord:
    return recorded(text, **how).record(BuildRecord("ci-3.11-amd64", export=CacheUse(export)))


def steps(one: BuildRecord) -> list[tuple[str, int, bool]]:
    return sorted((s.stage, s.number, s.cached) for s in one.steps if s.kind is StepKind.STEP)


def lines(*events: object) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def vertex(digest: str = "a", name: str = "[main 2/2] RUN x", **more: object) -> dict[str, object]:
    return {"vertexes": [{"digest": digest, "name": name, **more}]}


def at(second: float) -> str:
    return f"2026-01-02T03:04:{second:012.9f}Z"


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
@pytest.mark.parametrize("piece", [1, 7, 4096, 10**7])
def test_where_the_stream_is_cut_does_not_matter(version: str, piece: int) -> None:
    text = stream(version, "multi")
    assert record(text, piece=piece) == record(text)


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


def test_lines_that_are_no_events_are_kept() -> None:
    said: list[str] = []
    recorder = recorded(
        b'WARNING: x\n{not json\n{\n  "vertexes": []\nbroken\n{"a":1}\n{}\n[1]\nend TOKEN=abc',
        on_line=lambda line: said.append(line.text),
    )
    assert (
        recorder.messages
        == 'WARNING: x\n{not json\n{\n"vertexes": []\nbroken\n{"a":1}\n[1]\nend TOKEN=***\n'
    )
    assert said[-1] == "end TOKEN=abc"


def test_busy_time_is_the_union_of_all_intervals() -> None:
    one = record(
        lines(
            vertex("zero", "[internal] x", started=at(0), completed=at(0)),
            vertex(started=at(1), completed=at(2)),
            vertex(started=at(1.5)),
            vertex(started=at(1.5), completed=at(3)),
            vertex(started=at(5), completed=at(6)),
            vertex(),  # an announcement later resets nothing
        )
    )
    assert one.steps[1].intervals == ((1.0, 3.0), (5.0, 6.0))
    assert one.steps[1].seconds == 3.0
    assert one.steps[1].ran


def test_a_step_that_was_cached_stays_so() -> None:
    one = record(
        lines(
            vertex(started=at(1), completed=at(1), cached=True),
            vertex(started=at(2), completed=at(4)),
        )
    )
    assert (one.steps[0].cached, one.steps[0].ran, one.steps[0].seconds) == (True, False, 2.0)


def test_a_step_that_did_not_end_was_cancelled_when_the_last_thing_happened() -> None:
    one = record(
        lines(
            vertex(started=at(1)),
            vertex("b", "[main 3/3] RUN y"),
            vertex("c", "x", started=at(4), completed=at(5)),
            vertex("d", "[main 1/3] FROM x", started=at(2), cached=True),
        )
    )
    assert [(s.error, s.intervals) for s in one.steps] == [
        ("context canceled", ((0.0, 4.0),)),
        ("", ()),
        ("", ((3.0, 4.0),)),
        ("", ((1.0, 4.0),)),
    ]
    assert not one.steps[1].started


def test_a_group_whose_members_are_all_weak_stays_hidden() -> None:
    group = {"id": "g", "name": "[main 2/2] COPY --link a b", "weak": True}
    text = lines(vertex(progressGroup=group, started=at(1), completed=at(2)))
    assert record(text).steps == ()
    strong = {**group, "weak": False}
    text += lines(
        vertex("b", "LINK", inputs=["a", "c"], progressGroup=strong, started=at(3)),
        vertex("b", "LINK", progressGroup=strong, started=at(3), completed=at(4), error="why"),
    )
    (step,) = record(text).steps
    assert (step.digest, step.name, step.inputs) == ("b", "[main 2/2] COPY --link a b", ("c",))
    assert (step.intervals, step.error, step.cached) == (((0.0, 1.0), (2.0, 3.0)), "why", False)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("[linux/arm64 stage 2/5] RUN x", ("step", "stage", "linux/arm64", 2, 5)),
        ("[linux/arm/v7 2/5] RUN x", ("step", "", "linux/arm/v7", 2, 5)),
        ("[ci linux/amd64 main  2/12] COPY x", ("step", "main", "linux/amd64", 2, 12)),
        ("[linux/amd64->arm64 main 1/2] RUN x", ("step", "main", "linux/amd64->arm64", 1, 2)),
        ("[main 1/2] FROM x", ("base", "main", "", 1, 2)),
        ("[internal] load build context", ("context", "", "", 0, 0)),
        ("[internal] load .dockerignore", ("context", "", "", 0, 0)),
        ("[context sources] load from client", ("context", "", "", 0, 0)),
        ("[internal] load metadata for x", ("internal", "", "", 0, 0)),
        ("exporting to image", ("export", "", "", 0, 0)),
        ("merging manifest list x", ("export", "", "", 0, 0)),
        ("resolving provenance for metadata file", ("internal", "", "", 0, 0)),
        ("importing cache manifest from x", ("import", "", "", 0, 0)),
    ],
)
def test_a_name_says_what_a_vertex_is(name: str, said: tuple[object, ...]) -> None:
    (step,) = record(lines(vertex(name=name, started=at(1), completed=at(2)))).steps
    assert (step.kind.value, step.stage, step.platform, step.number, step.total) == said


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


def test_a_build_that_talks_for_ever_takes_no_more_memory() -> None:
    data = base64.b64encode(b"x" * 997 + b"\n\r\n").decode()
    chunk = lines(
        *({"logs": [{"vertex": "a", "data": data}]} for _ in range(100)),
        *(vertex(started=at(n / 2), completed=at(n / 2 + 0.1)) for n in range(100)),
        *({"statuses": [{"vertex": "a", "id": f"t{n}", "current": n}]} for n in range(300)),
    )
    chunk += b"plain line\n" * 100
    recorder = Recorder()
    recorder.feed(lines(vertex()) + chunk)
    tracemalloc.start()
    for _ in range(20):
        recorder.feed(chunk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    recorder.end()
    assert peak < 6 * len(chunk)  # one chunk and its lines, not twenty
    (step,) = recorder.record(BuildRecord("x")).steps
    assert len(step.log) == MAX_LINES
    assert len(step.intervals) <= MAX_PARTS
    assert step.bytes < 300 * 300


def test_intervals_without_number_become_one() -> None:
    recorder = Recorder(live=False)
    recorder.feed(
        lines(*(vertex(started=at(n / 10), completed=at(n / 10 + 0.01)) for n in range(500)))
    )
    (step,) = recorder.record(BuildRecord("x")).steps
    assert step.intervals[0][0] == 0
    assert len(step.intervals) <= MAX_PARTS


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
