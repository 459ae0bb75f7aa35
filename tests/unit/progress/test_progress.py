"""What builds look like while they run, and what is kept of what they say."""

from __future__ import annotations

import base64
import io
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from build_tasks import console
from build_tasks.errors import NetworkError, StepError
from build_tasks.progress import choice, live_table
from build_tasks.progress.base import Display
from build_tasks.progress.live_table import LiveTable
from build_tasks.progress.logfile import Log
from build_tasks.progress.plain import Lines
from build_tasks.progress.rawjson import Events
from build_tasks.progress.row import Row
from build_tasks.progress.single import Alone
from build_tasks.text import redaction
from build_tasks.text.redaction.known import KnownValues

BEGAN = "2026-01-01T00:00:00.1Z"
ENDED = "2026-01-01T00:00:02.35Z"


def vertex(name: str, **said: Any) -> dict[str, Any]:
    return {"vertexes": [{"digest": f"sha256:{name}", "name": name, **said}]}


def test_steps_are_counted_and_from_is_none() -> None:
    row = Row("ci-3.11-amd64")
    for name in ("[1/3] FROM base", "[2/3] RUN a", "[linux/arm64 build 3/3] RUN b", "[internal] x"):
        assert row.take(vertex(name)) == []
    assert (row.done, row.total) == (0, 2)
    assert row.take(vertex("[2/3] RUN a", started=BEGAN)) == ["[2/3] RUN a"]
    assert row.current == "[2/3] RUN a"
    assert row.take(vertex("[2/3] RUN a", started=BEGAN)) == []  # once
    row.take(vertex("[2/3] RUN a", started=BEGAN, completed=ENDED))
    row.take(vertex("[linux/arm64 build 3/3] RUN b", started=BEGAN, completed=BEGAN, cached=True))
    assert (row.done, row.total, row.cached) == (2, 2, 1)
    # Its layers are fetched for an export: it was cached all the same.
    row.take(vertex("[linux/arm64 build 3/3] RUN b", started=BEGAN, completed=ENDED))
    assert row.cached == 1


def test_a_failed_step_is_not_done() -> None:
    row = Row("x")
    row.take(vertex("[2/2] RUN a", started=BEGAN, completed=ENDED, error="exit code: 1"))
    assert (row.done, row.total) == (0, 1)


def test_a_cache_that_is_not_there_is_worth_a_line() -> None:
    row = Row("x")
    name = "importing cache manifest from r/i:c"
    assert row.take(vertex(name, started=BEGAN)) == []
    missing = vertex(name, completed=ENDED, error="failed to configure: r/i:c: not found")
    assert row.take(missing) == [f"{name}: not found"]
    assert row.take(vertex(name, completed=ENDED, error="x: context canceled")) == []
    assert row.take(vertex("exporting to image", started=BEGAN)) == ["exporting to image"]


def test_another_attempt_begins_anew() -> None:
    row = Row("x")
    row.begin(5.0)
    row.take(vertex("[2/2] RUN a", started=BEGAN, completed=ENDED))
    row.begin(9.0)
    assert (row.total, row.attempts, row.began) == (0, 2, 5.0)


def test_a_log_reads_as_buildkits_own(tmp_path: Path) -> None:
    log = Log(tmp_path / "run" / "x.log")
    log.line("+ command")
    log.event(vertex("[2/3] RUN a"))  # announced only
    log.event(vertex("[2/3] RUN a", started=BEGAN))
    for piece in ("one\ntw", "o\nthree"):
        data = base64.b64encode(piece.encode()).decode()
        log.event({"logs": [{"vertex": "sha256:[2/3] RUN a", "data": data}]})
    for _ in range(2):
        log.event(vertex("[2/3] RUN a", started=BEGAN, completed=ENDED))
    log.event(vertex("[3/3] RUN b", started=BEGAN, completed=BEGAN, cached=True))
    log.event(vertex("[3/3] RUN c", started=BEGAN, completed=ENDED, error="no"))
    log.event({"warnings": [{"short": base64.b64encode(b"careful").decode()}]})
    assert log.tail(2) == ["#3 ERROR: no", "WARNING: careful"]
    log.close()
    assert log.path.read_text().splitlines() == [
        "+ command",
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
    ]


def play(display: Display) -> None:
    """Let two builds run: one is repeated and fails, one is skipped."""
    display.expect(["ci-3.9-amd64", "ci-3.11-amd64"])
    with display:
        display.began("ci-3.9-amd64")
        display.line("ci-3.9-amd64", json.dumps(vertex("[2/3] RUN a", started=BEGAN)))
        display.line("ci-3.9-amd64", "{no event")
        display.again("ci-3.9-amd64", NetworkError("ci-3.9-amd64: cut"), 1.25)
        display.began("ci-3.9-amd64")
        display.say("ci-3.9-amd64", "warning: x")
        display.ended("ci-3.9-amd64", "failed", StepError("ci-3.9-amd64: step no"), 3.0)
        display.ended("ci-3.11-amd64", "skipped", None, 0.0)


def test_lines_say_what_happens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(Lines(tmp_path, width=100))
    assert capsys.readouterr().err.splitlines() == [
        "ci-3.9-amd64: begins",
        "ci-3.9-amd64: [2/3] RUN a",
        "ci-3.9-amd64: cut: once more in 1.2 s",
        "ci-3.9-amd64: warning: x",
        "ci-3.9-amd64: failed after 3.0 s: step no",
        "ci-3.11-amd64: skipped",
    ]
    assert (tmp_path / "ci-3.9-amd64.log").read_text().splitlines() == [
        "#1 [2/3] RUN a",
        "{no event",
        "cut: once more in 1.2 s",
        "warning: x",
    ]
    assert not (tmp_path / "ci-3.11-amd64.log").exists()


def test_events_are_not_told_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(Events(tmp_path, width=100))
    lines = capsys.readouterr().err.splitlines()
    assert json.dumps(vertex("[2/3] RUN a", started=BEGAN)) in lines
    assert "ci-3.9-amd64: [2/3] RUN a" not in lines
    assert "ci-3.9-amd64: warning: x" in lines


def test_one_build_alone_is_buildkits_to_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = Alone(tmp_path)
    alone.expect(["x"])
    alone.began("x")
    alone.again("x", NetworkError("x: cut"), 2.0)
    alone.say("x", "loaded")
    alone.ended("x", "built", None, 1.0)
    assert capsys.readouterr().err.splitlines() == ["x: cut: once more in 2.0 s", "x: loaded"]
    assert list(tmp_path.iterdir()) == []


def drawn(table: LiveTable) -> list[str]:
    with table.console.capture() as shown:
        table.console.print(table.table())
    return shown.get().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_table_fits_its_terminal(tmp_path: Path, width: int) -> None:
    table = LiveTable(tmp_path, console=Console(width=width, height=24, file=io.StringIO()))
    table.expect(["ci-3.9-amd64", "ci-3.11-amd64"])
    table.began("ci-3.9-amd64")
    table.event("ci-3.9-amd64", vertex(f"[2/3] RUN {'x' * 300}", started=BEGAN))
    lines = drawn(table)
    table.close()
    assert len(lines) == 3
    assert max(map(len, lines)) <= width
    assert lines[1].split()[:3] == ["ci-3.9-amd64", "building", "0/1"]
    assert ("cached" in lines[0]) == (width >= 80)


def test_a_table_that_is_too_high_keeps_what_moves(tmp_path: Path) -> None:
    table = LiveTable(tmp_path, console=Console(width=80, height=8, file=io.StringIO()))
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


def test_a_table_is_gone_at_its_end_and_what_matters_stays(tmp_path: Path) -> None:
    shown = io.StringIO()
    table = LiveTable(tmp_path, console=Console(width=60, file=shown, force_terminal=True))
    play(table)
    text = shown.getvalue()
    assert "ci-3.9-amd64: cut: once more in 1.2 s" in text
    assert "ci-3.9-amd64: [2/3] RUN a" not in text


def test_the_terminal_and_the_place_choose_the_display(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chosen(progress: str = "auto", *, several: bool = True) -> str:
        return type(choice.display(progress, tmp_path, several=several)).__name__

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    assert chosen() == "Lines"
    assert chosen(several=False) == "Alone"
    assert [chosen(one) for one in ("quiet", "rawjson", "tty", "plain")] == [
        "Display",
        "Events",
        "LiveTable",
        "Lines",
    ]
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert chosen() == "GitHub"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert chosen() == "LiveTable"
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert chosen() == "Lines"


def test_no_display_shows_a_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    step = vertex("[2/2] RUN TOKEN=hunter2 make", started=BEGAN)
    failed = vertex(
        "importing cache manifest from h/i", completed=ENDED, error="x: pw=1, password=hunter2"
    )
    screen = Console(file=io.StringIO(), width=200, force_terminal=True)
    displays = [Lines(tmp_path, width=200), LiveTable(tmp_path, console=screen)]
    for display in displays:
        display.expect(["a"])
        with display:
            display.began("a")
            display.line("a", json.dumps(step))
            if isinstance(display, LiveTable):
                screen.print(display.table())
            display.line("a", json.dumps(failed))
            display.say("a", "https://me:hunter2@h")
            display.again("a", NetworkError("a: PGPASSWORD=hunter2 psql"), 1.0)
            display.ended("a", "failed", StepError("a: PGPASSWORD=hunter2 psql"), 1.0)
    alone = Alone(tmp_path)
    alone.say("a", "https://me:hunter2@h")
    seen = capsys.readouterr().err + screen.file.getvalue() + (tmp_path / "a.log").read_text()  # type: ignore[attr-defined]  # StringIO
    assert "hunter2" not in seen
    assert seen.count("***") > 10


def test_events_for_programs_hide_known_values_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redaction, "_known", [KnownValues(["a-known-value-1"])])
    data = base64.b64encode(b"say a-known-value-1 TOKEN=x").decode()
    told = {"logs": [{"vertex": "v", "data": data}], "n": 1}
    same = json.dumps(vertex("RUN TOKEN=x"))
    display = Events(tmp_path, width=100)
    display.expect(["a"])
    for line in (same, json.dumps(told), "a line a-known-value-1"):
        display.line("a", line)
    display.close()
    first, second, third = capsys.readouterr().err.splitlines()
    assert first == same
    (log,) = json.loads(second)["logs"]
    assert base64.b64decode(log["data"]) == b"say *** TOKEN=x"
    assert third == "a line ***"


def test_lines_of_two_builds_and_the_drawing_of_the_table_never_wait_for_each_other(
    tmp_path: Path,
) -> None:
    """Each held a lock that the other waited for, and only SIGKILL ended the run."""
    sink = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - closed below
    table = LiveTable(tmp_path, console=Console(file=sink, force_terminal=True, width=100))
    names = ["ci-3.11-amd64", "prod-3.11-amd64"]
    table.expect(names)

    def talk(name: str) -> None:
        table.began(name)
        for number in range(5000):
            table.say(name, f"line {number}")
            table.event(name, vertex(f"[2/3] RUN {number}", started=BEGAN))

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


def test_builds_wait_for_no_terminal_and_the_end_not_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_table, "PATIENCE", 0.1)
    shown = Stuck()
    table = LiveTable(tmp_path, console=Console(file=shown, force_terminal=True, width=60))
    table.expect(["x"])
    with table:
        time.sleep(2 / live_table.RATE)  # it draws by now
        table.began("x")
        table.say("x", "a line")
        table.ended("x", "built", None, 1.0)
    shown.go.set()


def test_messages_of_others_stand_above_the_table(tmp_path: Path) -> None:
    shown = io.StringIO()
    with LiveTable(tmp_path, console=Console(width=60, file=shown, force_terminal=True)) as table:
        table.expect(["x"])
        console.message("careful \x1b]0;title\x07[b]this[/b]")
    assert "careful [b]this[/b]" in shown.getvalue()
    assert "title" not in shown.getvalue()


@pytest.mark.parametrize("make", [Display, Alone, lambda logs: Lines(logs, width=100)])
def test_a_log_that_cannot_be_written_is_one_warning(
    tmp_path: Path, make: Callable[[Path], Display], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("a file, not a folder")
    display = make(tmp_path / "logs")
    display.expect(["a", "b"])
    with display:
        for name in ("a", "b"):
            display.began(name)
            display.line(name, "a line")
            display.ended(name, "built", None, 1.0)
    warned = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    if type(display) is Lines:
        assert warned == [
            f"a: warning: {tmp_path}/logs/a.log: the log cannot be written: File exists"
        ]
    else:
        assert warned == []


def test_a_log_on_a_full_disk_keeps_its_last_lines() -> None:
    log = Log(Path("/dev/full"))
    for number in range(200):
        log.line(f"line {number}")
    assert log.problem == "warning: /dev/full: the log cannot be written: No space left on device"
    assert log.lines() == log.tail(100) == [f"line {number}" for number in range(100, 200)]
    log.close()


def test_a_log_that_somebody_removed_still_has_its_end(tmp_path: Path) -> None:
    log = Log(tmp_path / "x.log")
    log.line("a\x1b[2J")
    assert log.lines() == ["a"]
    log.path.unlink()
    assert log.lines() == ["a"]
    log.close()
    assert log.problem == ""


def test_a_line_without_an_end_takes_little_memory(tmp_path: Path) -> None:
    log = Log(tmp_path / "x.log")
    data = base64.b64encode(b"." * 1000).decode()
    for _ in range(200):
        log.event({"logs": [{"vertex": "sha256:a", "data": data}]})
    assert max(map(len, log.lines())) < 70_000
    log.close()
