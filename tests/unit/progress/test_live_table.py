"""The table on a terminal: what it shows, and that nobody waits for it."""

from __future__ import annotations

import io
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from displays import BEGAN, CI, ENDED, Attempt, begin, output, play, vertex
from rich.console import Console

from build_tasks import console
from build_tasks.errors import NetworkError, StepError
from build_tasks.progress import live_table
from build_tasks.progress.live_table import LiveTable
from build_tasks.progress.plain import Lines, StepLines
from build_tasks.text import escaping


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
