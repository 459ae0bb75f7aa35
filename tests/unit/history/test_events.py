"""Lines and events, from a stream that may be cut anywhere."""

from __future__ import annotations

import base64
import functools
import json

import pytest
from streams import BOTH, record, recorded, stream

from build_tasks.history.events import Line, Vertex, VertexLog, decode, redacted
from build_tasks.text import redaction
from build_tasks.text.redaction.known import KnownValues


@BOTH
@pytest.mark.parametrize("piece", [1, 7, 4096, 10**7])
def test_where_the_stream_is_cut_does_not_matter(version: str, piece: int) -> None:
    text = stream(version, "multi")
    assert record(text, piece=piece) == record(text)


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


def test_fields_of_other_types_are_left_out() -> None:
    line = decode(
        json.dumps(
            {
                "vertexes": [7, {"digest": "d", "name": None, "inputs": "x", "started": "soon"}],
                "statuses": {"id": "t"},
                "logs": [{"vertex": "d", "data": "not base64"}],
            }
        )
    )
    assert line.events == (Vertex("d"), VertexLog("d", ""))


def test_an_error_that_is_json_is_a_message() -> None:
    for text in ('{"errors":[{"code":"DENIED"}]}', "[1]", "{", '{"a":'):
        assert decode(text) == Line(text)
    assert decode("{}").events == ()


def test_events_for_programs_have_no_known_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    known = functools.cache(lambda: KnownValues(["a-known-value-1"]))
    monkeypatch.setattr(redaction, "_known_values", known)
    data = base64.b64encode(b"say a-known-value-1\n").decode()
    line = decode(json.dumps({"logs": [{"vertex": "a-known-value-1", "data": data}]}))
    (log,) = json.loads(redacted(line))["logs"]
    assert log == {"vertex": "***", "data": base64.b64encode(b"say ***\n").decode()}
    assert redacted(Line("x a-known-value-1")) == "x ***"
    unchanged = decode('{"logs": [{"vertex": "a"}]}')
    assert redacted(unchanged) == unchanged.text
