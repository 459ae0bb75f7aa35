"""Commands whose output is passed on as it comes."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import termios
import time
from pathlib import Path
from typing import Any

import pytest
from programs import PYTHON, ROOT, gone, sh, whole_pid

from build_tasks import process
from build_tasks.errors import MissingProgram
from build_tasks.process import streaming


def test_a_stream_is_shown_unchanged_and_its_tail_is_kept(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    script = (
        "import sys; sys.stderr.buffer.write(b'x' * 200_000 + b'\\xff\\r\\x1b[1mend\\x1b[0m\\n')"
    )
    done = process.stream((PYTHON, "-c", script), terminal=False)
    assert capfdbinary.readouterr().err == b"x" * 200_000 + b"\xff\r\x1b[1mend\x1b[0m\n"
    assert done.stderr.endswith("\ufffd\rend\n")
    assert len(done.stderr) <= streaming.TAIL_BYTES


def test_a_streamed_command_gets_a_terminal_of_the_same_size() -> None:
    """End to end: a terminal of 70 columns, the suite on it, and a program that prints the size."""
    probe = (
        "import os,sys; sys.stderr.write(f'{os.isatty(2)} {os.get_terminal_size(2).columns}\\n')"
    )
    suite = (
        "import sys; from build_tasks import process; "
        f"print(process.stream((sys.executable, '-c', {probe!r})).stderr, end='')"
    )
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (20, 70))
    done = subprocess.run(
        [PYTHON, "-c", suite],
        stderr=slave,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=ROOT,
    )
    os.close(slave)
    assert done.stdout == "True 70\n"
    assert os.read(master, 100) == b"True 70\r\n"  # the terminal's own carriage return, once
    os.close(master)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_stream_is_redacted(terminal: bool, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """A secret arrives in two chunks; an incomplete line is shown while the child waits."""
    script = (
        "import sys, time; w = sys.stderr.buffer.write; f = sys.stderr.buffer.flush\n"
        "w(b'\\x1b[1A => RUN TOKEN=hun'); f(); time.sleep(0.05); w(b'ter2 x\\x1b[0m\\n'); f()\n"
        "w(b'PASSWORD=hunter2 ?'); f(); time.sleep(1)"
    )
    process.stream((PYTHON, "-c", script), terminal=terminal)
    hidden = b"*" * (7 if terminal else 3)
    assert capfdbinary.readouterr().err == (
        b"\x1b[1A => RUN TOKEN=" + hidden + b" x\x1b[0m\nPASSWORD=" + hidden + b" ?"
    )


def test_the_last_words_of_a_command_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: on a busy machine the error of a failed build was lost."""
    ask = select.select

    def late(*pipes: Any) -> Any:
        """Find nothing, and let the command write and end before that is known."""
        monkeypatch.setattr(select, "select", ask)
        time.sleep(1)
        return [], [], []

    got: list[bytes] = []
    monkeypatch.setattr(select, "select", late)
    process.stream(sh("sleep 0.1; echo last"), take=got.append)
    assert b"".join(got) == b"last\n"


def test_a_stream_ends_though_a_grandchild_keeps_the_pipe_open(tmp_path: Path) -> None:
    began = time.monotonic()
    script = f"sleep 30 & echo $! > {tmp_path}/pid; echo done >&2"
    assert process.stream(sh(script), terminal=False).stderr == "done\n"
    assert time.monotonic() - began < 10
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_a_missing_program_leaves_no_open_file_descriptor() -> None:
    process.run(("true",))  # which starts the watchdog
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(MissingProgram):
        process.stream(("no-such-program",))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_stream_hands_its_bytes_to_a_function(
    capfd: pytest.CaptureFixture[str],
) -> None:
    got: list[bytes] = []
    done = process.stream(sh("echo out; echo err >&2; exit 3"), take=got.append)
    assert sorted(b"".join(got).split()) == [b"err", b"out"]
    assert done.returncode == 3
    assert capfd.readouterr().err == ""


def test_an_exception_of_that_function_ends_the_command(tmp_path: Path) -> None:
    def refuse(_: bytes) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        process.stream(sh(f"{whole_pid(tmp_path / 'pid')}; echo x; exec sleep 60"), take=refuse)
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_stream_hands_its_lines_to_a_function(capfd: pytest.CaptureFixture[str]) -> None:
    got: list[str] = []
    process.stream(sh("printf 'one\\ntw'; sleep 0.1; printf 'o\\nthree'"), line=got.append)
    assert got == ["one", "two", "three"]
    assert capfd.readouterr().err == ""
