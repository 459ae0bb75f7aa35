"""What builds look like while they run, and what their logs have."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import specs
from rich.console import Console

from build_tasks import console
from build_tasks.errors import ImagesError, NetworkError, StepError
from build_tasks.history.recorder import Recorder
from build_tasks.model import cache_backends
from build_tasks.model.build import Output
from build_tasks.model.cache import CachePlan
from build_tasks.model.matrix import Platform
from build_tasks.progress import base, choice, live_table
from build_tasks.progress.base import Display
from build_tasks.progress.github import GitHub
from build_tasks.progress.live_table import LiveTable
from build_tasks.progress.logfile import Log
from build_tasks.progress.plain import BuildKitDisplay, Events, Lines, Quiet, StepLines
from build_tasks.text import escaping, redaction
from build_tasks.text.redaction.known import KnownValues

BEGAN = "2026-01-01T00:00:00.1Z"
ENDED = "2026-01-01T00:00:02.35Z"
STREAMS = Path(__file__).parents[2] / "data" / "streams"
CI = "ci-3.9-amd64"
#: What is shown as its build starts.
SUMMARY = "building and pushing r/i:1 for linux/amd64"


def vertex(name: str, **fields: Any) -> dict[str, Any]:
    return {"vertexes": [{"digest": f"sha256:{name}", "name": name, **fields}]}


def output(name: str, text: str) -> dict[str, Any]:
    data = base64.b64encode(text.encode()).decode()
    return {"logs": [{"vertex": f"sha256:{name}", "data": data}]}


class Attempt:
    """An attempt of a build, as the driver follows it."""

    def __init__(self, display: Display, name: str) -> None:
        self.recorder = Recorder(
            on_event=lambda event: display.step(name, event),
            on_line=lambda line: display.line(name, line),
        )
        _, python, architecture = name.split("-")
        build = specs.make(
            kind=Output.PUSH,
            python=python,
            platform=Platform(f"linux/{architecture}"),
            tags=("r/i:1",),
            metadata=Path("/m.json"),
        )
        assert build.identity == name
        display.start(build, "docker-buildx build .", self.recorder)

    def write(self, *lines: dict[str, Any] | str) -> None:
        for line in lines:
            text = line if isinstance(line, str) else json.dumps(line)
            self.recorder.feed(f"{text}\n".encode())


def begin(display: Display, *names: str) -> Attempt:
    """Start the first of some builds."""
    display.expect(names)
    display.began(names[0])
    return Attempt(display, names[0])


def test_a_row_counts_instructions_and_not_from(tmp_path: Path) -> None:
    display = Display(tmp_path)
    attempt = begin(display, CI)
    names = ("[1/3] FROM base", "[2/3] RUN a", "[linux/arm64 build 3/3] RUN b", "[internal] x")
    attempt.write(*(vertex(name) for name in names))
    progress = display.rows[CI].progress
    assert (progress.done, progress.total) == (0, 2)
    attempt.write(vertex("[2/3] RUN a", started=BEGAN))
    assert display.rows[CI].progress.running == ("[2/3] RUN a",)
    attempt.write(
        vertex("[2/3] RUN a", started=BEGAN, completed=ENDED),
        vertex("[linux/arm64 build 3/3] RUN b", started=BEGAN, completed=BEGAN, cached=True),
        # Its layers are fetched for an export: it was cached all the same.
        vertex("[linux/arm64 build 3/3] RUN b", started=BEGAN, completed=ENDED),
    )
    progress = display.rows[CI].progress
    assert (progress.done, progress.total, progress.cached) == (2, 2, 1)
    display.close()


def test_a_failed_step_is_not_done(tmp_path: Path) -> None:
    display = Display(tmp_path)
    error = "exit code: 1"
    begin(display, CI).write(vertex("[2/2] RUN a", started=BEGAN, completed=ENDED, error=error))
    assert (display.rows[CI].progress.done, display.rows[CI].progress.total) == (0, 1)
    display.close()


def test_another_attempt_begins_anew(tmp_path: Path) -> None:
    display = Display(tmp_path)
    begin(display, CI).write(vertex("[2/2] RUN a", started=BEGAN, completed=ENDED))
    first = display.rows[CI]
    display.began(CI)
    again = display.rows[CI]
    assert (again.progress.total, again.attempts, again.began) == (0, 2, first.began)
    display.close()


def test_a_log_reads_as_buildkits_plain_display(tmp_path: Path) -> None:
    display = Display(tmp_path / "run")
    attempt = begin(display, CI)
    attempt.write(
        vertex("[2/3] RUN a"),  # announced only
        vertex("[2/3] RUN a", started=BEGAN),
        output("[2/3] RUN a", "one\ntw"),
        output("[2/3] RUN a", "o\nthree"),
        vertex("[2/3] RUN a", started=BEGAN, completed=ENDED),
        vertex("[2/3] RUN a", started=BEGAN, completed=ENDED),
        vertex("[3/3] RUN b", started=BEGAN, completed=BEGAN, cached=True),
        vertex("[3/3] RUN c", started=BEGAN, completed=ENDED, error="no"),
        {"warnings": [{"short": base64.b64encode(b"careful").decode()}]},
        "a plain line",
    )
    assert display.log(CI).tail(2) == ["WARNING: careful", "a plain line"]
    display.close()
    assert (tmp_path / f"{CI}.log").readlink() == Path("run", f"{CI}.log")
    assert (tmp_path / f"{CI}.log").read_text().splitlines() == [
        "+ docker-buildx build .",
        "#1 [2/3] RUN a",
        "#1 one",
        "#1 two",
        "#1 three",
        "#1 DONE 2.2s",
        "#2 [3/3] RUN b",
        "#2 CACHED",
        "#3 [3/3] RUN c",
        "#3 ERROR: no",
        "WARNING: careful",
        "a plain line",
    ]


@pytest.mark.parametrize("version", ["0.13", "0.29"])
def test_the_log_of_a_recorded_stream_has_all_of_it(tmp_path: Path, version: str) -> None:
    display = Display(tmp_path / "run")
    attempt = begin(display, CI)
    attempt.recorder.feed(gzip.decompress((STREAMS / version / "first.txt.gz").read_bytes()))
    attempt.recorder.end()
    display.close()
    lines = (tmp_path / f"{CI}.log").read_text().splitlines()
    named = [line for line in lines if "RUN" in line and line.startswith("#")]
    assert len(named) == len(set(named))
    assert any(line.endswith(" step one") for line in lines)
    assert any("[internal] load build definition" in line for line in lines)
    assert sum(" DONE " in line for line in lines) > 5
    assert "hunter2" not in "\n".join(lines)


def play(display: Display) -> None:
    """Let two builds run: one is retried and fails, one is skipped."""
    attempt = begin(display, CI, "ci-3.11-amd64")
    with display:
        attempt.write(vertex("[2/3] RUN a", started=BEGAN), "{no event")
        display.again(CI, NetworkError(f"{CI}: cut"), 1.25)
        display.began(CI)
        Attempt(display, CI)
        display.say(CI, "warning: x")
        display.ended(CI, "failed", StepError(f"{CI}: no (step 'a')"), 3.0)
        display.ended("ci-3.11-amd64", "skipped", None, 0.0)


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


def test_the_whole_command_is_shown_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for make in (Lines, StepLines, Events):
        with make(tmp_path, width=30, verbose=True) as display:
            begin(display, CI)
        assert "+ docker-buildx build ." in capsys.readouterr().err.splitlines()


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


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"kind": Output.LOAD}, "building and loading r/i:1 for linux/amd64"),
        ({"kind": Output.DIGEST}, "building and pushing r/i by digest for linux/amd64"),
        (
            {
                "kind": Output.NONE,
                "cache": CachePlan(export=cache_backends.registry("r/i:c").for_export(())),
            },
            "building for linux/amd64, cache to r/i:c",
        ),
    ],
)
def test_one_line_says_what_is_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fields: dict[str, Any], text: str
) -> None:
    display = BuildKitDisplay(tmp_path)
    build = specs.make(tags=("r/i:1",), image="r/i", **fields)
    display.expect([build.identity])
    display.began(build.identity)
    display.start(build, "command", Recorder())
    display.close()
    name = build.identity
    assert capsys.readouterr().err == f"{name}: {text} (log: {tmp_path}/{name}.log)\n"


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


def test_a_github_log_is_a_group_and_no_command_in_it_is_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    display = GitHub(tmp_path, width=100)
    begin(display, CI, "ci-3.11-amd64").write("::error::not ours")
    capsys.readouterr()
    display.ended(CI, "failed", StepError(f"{CI}: why"), 2.0)
    display.ended("ci-3.11-amd64", "skipped", None, 0.0)
    display.close()
    lines = capsys.readouterr().err.splitlines()
    stops = [line for line in lines if line.startswith("::stop-commands::")]
    assert len(stops) == 2
    for stop in stops:
        inside = lines[lines.index(stop) : lines.index(f"::{stop.rpartition(':')[2]}::")]
        assert "::error::not ours" in inside
    assert f"::error title={CI}::why" in lines
    assert f"::group::{CI}: failed in 2.0 s" in lines
    assert lines[-1] == "ci-3.11-amd64: skipped"


def terminal(*, width: int = 80, height: int = 24, file: Any = None) -> Console:
    return Console(file=file or io.StringIO(), width=width, height=height, force_terminal=True)


def drawn(table: LiveTable) -> list[str]:
    with table.console.capture() as capture:
        table.console.print(table.table(), style=None)
    return [escaping.without_sequences(line) for line in capture.get().splitlines()]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_table_fits_its_terminal(tmp_path: Path, width: int) -> None:
    table = LiveTable(tmp_path, console=terminal(width=width))
    attempt = begin(table, CI, "ci-3.11-amd64")
    attempt.write(
        vertex(f"[2/3] RUN --mount=type=cache <<EOF (# install {'x' * 300}...)", started=BEGAN)
    )
    lines = drawn(table)
    table.close()
    assert len(lines) == 3
    assert max(map(len, lines)) <= width
    assert lines[1].split()[:3] == [CI, "building", "0/1"]
    assert width < 60 or "install xx" in lines[1]
    assert table.total().startswith("0 done, 1 running, 1 left, 0.")


def test_a_table_that_is_too_high_keeps_what_runs(tmp_path: Path) -> None:
    table = LiveTable(tmp_path, console=terminal(height=8))
    names = [f"ci-3.{number}-amd64" for number in range(20)]
    table.expect(names)
    for name in names[:10]:
        table.ended(name, "built", None, 1.0)
    table.began(names[15])
    table.ended(names[3], "failed", StepError(f"{names[3]}: no"), 1.0)
    lines = drawn(table)
    assert len(lines) == 6
    assert [line.split()[0] for line in lines[1:3]] == [names[3], names[10]]
    assert any(line.startswith(names[15]) for line in lines)
    assert lines[-1].strip() == "and 16 more"
    assert table.total().startswith("9 done, 1 failed, 1 running, 9 left, ")


def test_a_table_is_erased_at_its_end_and_messages_stay(tmp_path: Path) -> None:
    shown = io.StringIO()
    table = LiveTable(tmp_path, console=terminal(width=60, file=shown))
    play(table)
    text = shown.getvalue()
    assert "ci-3.9-amd64: cut: retrying in 1.2 s" in text
    assert "ci-3.9-amd64: [2/3] a" not in text
    assert text.endswith("\x1b[?25h")


def test_a_table_leaves_nothing_after_its_terminal_became_narrower(tmp_path: Path) -> None:
    shown = io.StringIO()
    console_ = terminal(width=100, file=shown)
    table = LiveTable(tmp_path, console=console_)
    table.expect([CI])
    table.ended(CI, "failed", StepError(f"{CI}: {'x' * 200}"), 1.0)
    table._draw()
    assert shown.getvalue().count("\n") == 3  # header, row, total
    console_.width = 50
    table._draw()
    # The row of 100 columns takes two lines of 50, header and total one each.
    assert "\r\x1b[4A\x1b[J" in shown.getvalue()
    table.close()


def test_what_a_build_made_is_left_to_the_table_of_outcomes(tmp_path: Path) -> None:
    shown = io.StringIO()
    table = LiveTable(tmp_path, console=terminal(width=60, file=shown))
    table.expect([CI])
    with table:
        table.result(CI, "pushed r/i:1 sha256:1")
    assert "pushed" not in shown.getvalue()
    assert (tmp_path / f"{CI}.log").read_text() == "pushed r/i:1 sha256:1\n"


def test_nothing_is_drawn_where_there_is_no_terminal(tmp_path: Path) -> None:
    shown = io.StringIO()
    table = LiveTable(tmp_path, console=Console(file=shown, width=60))
    table.expect([CI])
    with table:
        table.say(CI, "a message")
        table.result(CI, "pushed r/i:1 sha256:1")
        time.sleep(2 / live_table.RATE)
    assert shown.getvalue() == f"{CI}: a message\n{CI}: pushed r/i:1 sha256:1\n"


def test_the_option_and_the_terminal_choose_the_display(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chosen(progress: str = "auto", *, several: bool = True) -> str:
        return type(choice.display(progress, tmp_path, several=several)).__name__

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.delenv("BUILDKIT_PROGRESS", raising=False)
    assert chosen() == "Lines"
    assert chosen(several=False) == "StepLines"
    options = ("quiet", "rawjson", "tty", "plain")
    assert [chosen(option) for option in options] == ["Quiet", "Events", "LiveTable", "Lines"]
    one = [chosen(option, several=False) for option in options]
    assert one == ["Quiet", "Events", "BuildKitDisplay", "BuildKitDisplay"]
    monkeypatch.setenv("BUILDKIT_PROGRESS", "plain")
    assert chosen(several=False) == "BuildKitDisplay"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert chosen() == "GitHub"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert chosen() == "LiveTable"
    assert chosen(several=False) == "BuildKitDisplay"
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert chosen() == "Lines"


def test_no_display_shows_a_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    step = vertex("[2/2] RUN TOKEN=hunter2 make", started=BEGAN)
    cache = "importing cache manifest from h/i"
    failed = vertex(cache, completed=ENDED, error="x: pw=1, password=hunter2")
    screen = terminal(width=200)
    displays = [
        Lines(tmp_path, width=200),
        StepLines(tmp_path, width=200),
        LiveTable(tmp_path, console=screen),
    ]
    for display in displays:
        attempt = begin(display, CI)
        with display:
            attempt.write(step)
            if isinstance(display, LiveTable):
                screen.print(display.table())
            attempt.write(failed, output("[2/2] RUN TOKEN=hunter2 make", "TOKEN=hunter2\n"))
            display.say(CI, "https://me:hunter2@h")
            display.again(CI, NetworkError(f"{CI}: PGPASSWORD=hunter2 psql"), 1.0)
            display.ended(CI, "failed", StepError(f"{CI}: PGPASSWORD=hunter2 psql"), 1.0)
    log = (tmp_path / f"{CI}.log").read_text()
    seen = capsys.readouterr().err + screen.file.getvalue() + log  # type: ignore[attr-defined]  # StringIO
    assert "hunter2" not in seen
    assert seen.count("***") > 10


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


def test_two_builds_and_the_drawing_of_the_table_never_wait_for_each_other(
    tmp_path: Path,
) -> None:
    """Each held a lock that the other waited for, and only SIGKILL ended the run."""
    sink = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - closed below
    table = LiveTable(tmp_path, console=terminal(width=100, file=sink))
    names = ["ci-3.11-amd64", "ci-3.12-amd64"]
    table.expect(names)

    def talk(name: str) -> None:
        table.began(name)
        attempt = Attempt(table, name)
        for number in range(2000):
            table.say(name, f"line {number}")
            attempt.write(vertex(f"[2/3] RUN {number}", started=BEGAN))

    threads = [threading.Thread(target=talk, args=(name,), daemon=True) for name in names]
    with table:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
    sink.close()


class Stuck(io.StringIO):
    """A terminal that takes nothing until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def write(self, text: str) -> int:
        if threading.current_thread() is not threading.main_thread():
            self.go.wait()
        return super().write(text)


def test_builds_do_not_wait_for_a_terminal_and_the_end_not_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_table, "PATIENCE", 0.1)
    shown = Stuck()
    table = LiveTable(tmp_path, console=terminal(width=60, file=shown))
    table.expect(["x"])
    with table:
        time.sleep(2 / live_table.RATE)  # it draws by now
        table.began("x")
        table.say("x", "a line")
        table.ended("x", "built", None, 1.0)
    shown.go.set()


def test_messages_of_other_modules_stand_above_the_table(tmp_path: Path) -> None:
    shown = io.StringIO()
    with LiveTable(tmp_path, console=terminal(width=60, file=shown)) as table:
        table.expect(["x"])
        console.message("careful \x1b]0;title\x07[b]this[/b]")
    assert "careful [b]this[/b]" in shown.getvalue()
    assert "title" not in shown.getvalue()


@pytest.mark.parametrize("make", [Display, BuildKitDisplay, Lines])
def test_logs_that_cannot_be_written_are_one_warning(
    tmp_path: Path, make: Callable[[Path], Display], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("a file, not a folder")
    display = make(tmp_path / "logs")
    names = [CI, "ci-3.11-amd64"]
    display.expect(names)
    with display:
        for name in names:
            display.began(name)
            Attempt(display, name).write("a line")
            display.ended(name, "built", None, 1.0)
    assert display.log_file(CI) == ""
    problem = f"{CI}: warning: {tmp_path}/logs/{CI}.log: the log cannot be written: File exists"
    warned = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert warned == [problem]


def test_a_log_on_a_full_disk_keeps_its_last_lines() -> None:
    log = Log(Path("/dev/full"))
    for number in range(200):
        log.line(f"line {number}")
    assert log.problem == "warning: /dev/full: the log cannot be written: No space left on device"
    assert log.lines() == log.tail(100) == [f"line {number}" for number in range(100, 200)]
    log.close()


def test_a_log_that_was_removed_still_has_its_end(tmp_path: Path) -> None:
    log = Log(tmp_path / "x.log")
    log.line("a\x1b[2J")
    assert log.lines() == ["a"]
    log.path.unlink()
    assert log.lines() == ["a"]
    log.close()
    log.line("after the end")
    assert log.problem == ""


def test_a_line_without_an_end_takes_little_memory(tmp_path: Path) -> None:
    display = Display(tmp_path)
    attempt = begin(display, CI)
    attempt.write(vertex("a", started=BEGAN), *[output("a", "." * 1000)] * 200)
    attempt.write(vertex("a", started=BEGAN, completed=ENDED))
    lines = display.log(CI).lines()
    display.close()
    assert max(map(len, lines)) < 70_000
    assert sum(line.count(".") for line in lines if line.startswith("#1 .")) == 200_000


def test_an_error_is_shown_without_the_name_of_its_build() -> None:
    assert base.reason("x", ImagesError("x: why")) == "why"
