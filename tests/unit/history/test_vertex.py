"""The state of a vertex: its times, its group, its log."""

from __future__ import annotations

import base64
import tracemalloc

from streams import at, lines, record, vertex

from build_tasks.history.record import BuildRecord
from build_tasks.history.recorder import Recorder
from build_tasks.history.vertex import MAX_LINES, MAX_PARTS


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
