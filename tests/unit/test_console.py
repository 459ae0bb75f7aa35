"""Messages and answers on streams that are full, closed or non-blocking."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from build_tasks import console
from build_tasks.errors import DiskError


@contextlib.contextmanager
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[TextIO]:
    """Write to /dev/full, which refuses everything."""
    with Path("/dev/full").open("w", encoding="utf-8") as stream, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", stream)
        patch.setattr("sys.stderr", stream)
        yield stream


def test_a_message_never_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with full(monkeypatch) as stream:
        console.message("x" * 100_000)
    with full(monkeypatch) as stream:
        console.write_bytes(b"y" * 100_000)
        stream.close()
        console.message("z")
        console.write_bytes(b"z")
        with pytest.raises(DiskError, match=r"^stdout cannot be written: it is closed$"):
            console.answer("z")
        assert not console.stdout_is_terminal()


def test_an_answer_on_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with full(monkeypatch):
        with pytest.raises(DiskError, match=r"^stdout cannot be written: No space left on device$"):
            console.answer("x")
        console.answer("x")  # it leads nowhere by now: Python itself flushes it at its end


def test_closed_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    monkeypatch.setattr("sys.stderr", None)
    console.message("x")
    console.write_bytes(b"x")
    console.Stderr().write("x")
    assert not console.stderr_is_terminal()
    with pytest.raises(DiskError, match=r"^stdout cannot be written: it is closed$"):
        console.answer("x")


def test_a_broken_pipe_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        console.answer("x")


def test_a_full_pipe_loses_text_and_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    stream = os.fdopen(writer, "w")
    monkeypatch.setattr("sys.stderr", stream)
    for _ in range(4):
        console.message("x" * 50_000)
        console.write_bytes(b"x" * 50_000)
    assert len(os.read(reader, 1_000_000)) > 50_000
    os.set_blocking(writer, True)
    os.close(reader)
    console.message("x")
    stream.close()


def test_characters_outside_the_encoding_are_escaped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(kept, encoding="ascii"))
    console.answer("✅ ä")
    assert kept.getvalue() == b"\\u2705 \\xe4\n"


def test_messages_can_be_redirected(capsys: pytest.CaptureFixture[str]) -> None:
    taken: list[str] = []
    with console.redirected(taken.append):
        console.message("a\x1b[1mb")
    console.message("c")
    assert taken == ["ab\n"]
    assert capsys.readouterr().err == "c\n"
