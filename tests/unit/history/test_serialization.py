"""Records as JSON: what is written is read again, by any version, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build_tasks.history import serialization
from build_tasks.history.record import SCHEMA, BuildRecord, CacheUse, Step, StepKind

FINITE = st.floats(min_value=0, max_value=1e9)
# Every text, with what no file's encoding has: paths that are no UTF-8 come with lone surrogates.
TEXT = st.text(st.characters(exclude_categories=()), max_size=30)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
STEPS = st.builds(
    Step,
    digest=TEXT,
    name=TEXT,
    kind=st.sampled_from(StepKind),
    inputs=TEXTS,
    intervals=st.lists(st.tuples(FINITE, FINITE), max_size=3).map(tuple),
    started=st.booleans(),
    cached=st.booleans(),
    error=TEXT,
    bytes=st.integers(min_value=0, max_value=2**60),
    log=TEXTS,
)
USES = st.builds(CacheUse, reference=TEXT, error=TEXT, seconds=FINITE)
RECORDS = st.builds(
    BuildRecord,
    identity=TEXT.filter(bool),
    seconds=FINITE,
    platforms=TEXTS,
    base=st.tuples(TEXT, TEXT),
    files=st.dictionaries(TEXT, TEXT, max_size=3),
    steps=st.lists(STEPS, max_size=3).map(tuple),
    imports=st.lists(USES, max_size=3).map(tuple),
    export=st.none() | USES,
)


def a(identity: str = "ci-3.11-amd64", run: str = "r1", **more: Any) -> BuildRecord:
    return BuildRecord(identity, run=run, **more)


def written(**changed: object) -> bytes:
    data: dict[str, object] = json.loads(
        serialization.to_text(a(steps=(Step("d", "n", StepKind.STEP),)))
    )
    return json.dumps({**data, **changed}).encode()


@given(RECORDS)
def test_what_is_written_is_read_again(record: BuildRecord) -> None:
    assert serialization.of_bytes(serialization.to_text(record).encode()) == ([record], 0)


@given(st.lists(RECORDS, max_size=3))
def test_a_report_is_read_again(records: list[BuildRecord]) -> None:
    text = json.dumps(serialization.to_report(records))
    assert serialization.of_bytes(text.encode()) == (records, 0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
)
NAMES = st.sampled_from([*asdict(a()), "schema", "builds"])


@given(st.dictionaries(NAMES, JSON), st.booleans())
def test_whatever_stands_in_a_file_is_a_record_or_an_error(
    changed: Mapping[str, object], on_top: bool
) -> None:
    content = written(**changed) if on_top else json.dumps(changed).encode()
    try:
        found, _ = serialization.of_bytes(content)
    except ValueError:
        return
    assert all(record.identity for record in found)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_record_are_an_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        serialization.of_bytes(content)


def test_a_file_may_be_cut_anywhere() -> None:
    whole = written()
    for end in range(len(whole)):
        with pytest.raises(ValueError, match=r"."):
            serialization.of_bytes(whole[:end])


def test_a_file_that_is_nested_too_deeply_is_an_error() -> None:
    with pytest.raises(ValueError, match="nested"):
        serialization.of_bytes(b"[" * 200_000)


def test_a_later_version_s_words_are_passed_over() -> None:
    step = {"digest": "d", "name": "n", "kind": "portal", "colour": "red"}
    content = written(steps=[step], mood="good")
    assert serialization.of_bytes(content) == ([a(steps=(Step("d", "n", StepKind.INTERNAL),))], 0)


def test_what_an_earlier_version_did_not_write_has_its_default() -> None:
    content = json.dumps({"schema": SCHEMA, "identity": "ci-3.9-amd64", "steps": [{}]}).encode()
    (found,), _ = serialization.of_bytes(content)
    assert found == BuildRecord("ci-3.9-amd64", steps=(Step("", "", StepKind.INTERNAL),))


@pytest.mark.parametrize(
    "field",
    [
        '"arguments": []',
        '"files": "x"',
        '"steps": [{"digest": "a", "name": "b", "kind": "step", "intervals": [[1]]}]',
        '"steps": [[]]',
        '"seconds": 1e999',
        '"attempts": true',
        f'"attempts": 1{"0" * 400}',
        f'"message": {"[" * 900}{"]" * 900}',
        '"export": 1',
    ],
)
def test_a_field_of_another_type_is_an_error(field: str) -> None:
    with pytest.raises(ValueError, match=r"^(it is nested|a number|zip|\w+ in place of \w+$)"):
        serialization.of_bytes(f'{{"schema": 1, "identity": "a", {field}}}'.encode())
