"""Displays of lines: for pipes and logs, for programs, and with little of our own."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from unittest.mock import Mock

import pytest
from displays import BEGAN, CI, ENDED, SUMMARY, begin, output, play, vertex

from build_tasks.errors import NetworkError, StepError
from build_tasks.progress.plain import BuildKitDisplay, Events, Lines, Quiet, StepLines
from build_tasks.text import redaction
from build_tasks.text.redaction.known import KnownValues


def test_lines_say_what_happens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(Lines(tmp_path, width=100))
    assert capsys.readouterr().err.splitlines() == [
        f"ci-3.9-amd64: {SUMMARY} (log: {tmp_path}/ci-3.9-amd64.log)",
        "ci-3.9-amd64: [2/3] a",
        "ci-3.9-amd64: cut: retrying in 1.2 s",
        "ci-3.9-amd64: warning: x",
        "ci-3.9-amd64: failed after 3.0 s: no (step 'a')",
        "ci-3.11-amd64: skipped",
    ]
    assert (tmp_path / "ci-3.9-amd64.log").read_text().splitlines() == [
        "+ docker-buildx build .",
        "#1 [2/3] RUN a",
        "{no event",
        "cut: retrying in 1.2 s",
        "+ docker-buildx build .",
        "warning: x",
    ]
    assert not (tmp_path / "ci-3.11-amd64.log").exists()


def test_lines_name_a_cache_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    display = Lines(tmp_path, width=100)
    attempt = begin(display, CI, "prod-3.9-amd64")
    cache = "importing cache manifest from r/i:c"
    attempt.write(
        vertex(cache, started=BEGAN),
        vertex(cache, completed=ENDED, error="failed to configure: r/i:c: not found"),
        vertex("importing cache manifest from x", completed=ENDED, error="x: context canceled"),
        vertex("exporting to image", started=BEGAN),
        vertex("exporting to image", started=BEGAN),
    )
    display.ended(CI, "built", None, 61.0)
    display.close()
    assert capsys.readouterr().err.splitlines()[1:] == [
        f"{CI}: {cache}: not found",
        f"{CI}: exporting to image",
        f"{CI}: built in 1 min 1 s",
    ]


def test_one_build_is_numbered_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    display = StepLines(tmp_path / "run", width=60)
    attempt = begin(display, CI)
    error = 'process "/bin/sh -c x" did not complete successfully: exit code: 42'
    attempt.write(
        {"warnings": [{"short": base64.b64encode(b"careful").decode()}]},
        vertex("[internal] load build definition", started=BEGAN, completed=ENDED),
        vertex("[1/4] FROM docker.io/library/debian", started=BEGAN),
        vertex("[1/4] FROM docker.io/library/debian", started=BEGAN, completed=ENDED),
        vertex("[2/4] RUN b", started=BEGAN, completed=BEGAN, cached=True),
        vertex("[3/4] RUN a", started=BEGAN),
        output("[3/4] RUN a", "only in the log\nline 3"),
        vertex("[3/4] RUN a", started=BEGAN, completed=ENDED, error=error),
        "   2 | >>> RUN a",
        "x" * 100,
    )
    display.say(CI, "warning: x")
    display.ended(CI, "failed", StepError(f"{CI}: no"), 1.0)
    display.close()
    log = tmp_path / "run" / f"{CI}.log"
    assert capsys.readouterr().err.splitlines() == [
        f"{CI}: building and pushing r/i:1 for linux/amd64 (log: {log})",
        "WARNING: careful",
        "#2 DONE 2.2s [1/4] FROM debian",
        "#3 CACHED [2/4] b",
        "#4 [3/4] a",
        "#4 | only in the log",
        "#4 | line 3",
        "#4 ERROR: [3/4] a: exit code: 42",
        "   2 | >>> RUN a",
        f"{'x' * 59}…",
        f"{CI}: warning: x",
    ]
    assert display.log_file(CI) == str(log)


def test_events_are_shown_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(Events(tmp_path, width=100))
    lines = capsys.readouterr().err.splitlines()
    assert json.dumps(vertex("[2/3] RUN a", started=BEGAN)) in lines
    assert "ci-3.9-amd64: [2/3] a" not in lines
    assert "ci-3.9-amd64: warning: x" in lines
    assert "ci-3.11-amd64: skipped" in lines


def test_buildkits_own_display_gets_our_messages_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    display = BuildKitDisplay(tmp_path)
    display.expect(["x"])
    display.began("x")
    display.again("x", NetworkError("x: cut"), 2.0)
    display.say("x", "loaded")
    display.ended("x", "built", None, 1.0)
    display.close()
    assert capsys.readouterr().err.splitlines() == ["x: cut: retrying in 2.0 s", "x: loaded"]


def test_quiet_shows_warnings_and_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    display = Quiet(tmp_path)
    attempt = begin(display, CI)
    attempt.write(vertex("[2/3] RUN a", started=BEGAN), "a line")
    display.say(CI, "  steps    3 of 3 cached")
    display.say(CI, "warning: careful")
    display.result(CI, "loaded r/i:1 sha256:1")
    display.ended(CI, "built", None, 1.0)
    display.close()
    assert capsys.readouterr().err.splitlines() == [
        f"{CI}: warning: careful",
        f"{CI}: loaded r/i:1 sha256:1",
    ]
    play(Quiet(tmp_path))
    assert capsys.readouterr().err.splitlines() == [f"{CI}: warning: x"]


def test_events_for_programs_hide_known_values_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redaction, "_known_values", lambda: KnownValues(["a-known-value-1"]))
    secret = {**output("v", "say a-known-value-1 TOKEN=x"), "n": 1}
    same = json.dumps(vertex("RUN TOKEN=x"))
    display = Events(tmp_path, width=100)
    build = begin(display, CI)
    with monkeypatch.context() as patch:
        decoder = Mock(wraps=json.loads)
        patch.setattr(json, "loads", decoder)
        build.write(same, secret, "a line a-known-value-1")
    assert decoder.call_count == 2  # once for each event
    display.close()
    _, first, second, third = capsys.readouterr().err.splitlines()
    assert first == same
    (log,) = json.loads(second)["logs"]
    assert base64.b64decode(log["data"]) == b"say *** TOKEN=x"
    assert third == "a line ***"
