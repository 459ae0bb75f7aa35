"""Commands that run to their end, or while their output is read."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import IO

import pytest
from programs import gone, sh, whole_pid

from build_tasks import process
from build_tasks.errors import CommandError, CommandTimeout, MissingProgram


def test_a_command_is_captured() -> None:
    done = process.run(sh('cat; echo "$X" >&2'), environment={"X": "there"}, input="here")
    assert (done.returncode, done.stdout, done.stderr) == (0, "here", "there\n")


def test_the_input_of_a_command_may_be_any_bytes() -> None:
    done = process.run(("od", "-A", "n", "-t", "x1"), input=os.fsdecode(b"caf\xe9"))
    assert done.stdout.split() == ["63", "61", "66", "e9"]


def test_a_failure_is_one_line_with_its_reason() -> None:
    with pytest.raises(CommandError, match=r"^sh -c 'echo a >&2; echo why >&2; exit 3': why$"):
        process.run(sh("echo a >&2; echo why >&2; exit 3"))
    with pytest.raises(CommandError, match=r": exit status 3$"):
        process.run(sh("exit 3"))
    assert process.run(sh("exit 3"), check=False).returncode == 3


@pytest.mark.parametrize("program", ["no-such-program", "/etc/passwd"])
def test_a_missing_program_is_one_line(program: str) -> None:
    with pytest.raises(MissingProgram, match=f"^cannot start {program}: "):
        process.run((program,))


def test_a_timeout_ends_a_command_and_its_children(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! > {tmp_path}/pid; wait"
    with pytest.raises(CommandTimeout, match=r"^no end after 0.5 s: sh -c "):
        process.run(sh(script), timeout=0.5)
    assert gone(int((tmp_path / "pid").read_text()))


def test_another_thread_may_run_commands() -> None:
    ended = []
    thread = threading.Thread(target=lambda: ended.append(process.run(sh("echo here")).stdout))
    thread.start()
    thread.join()
    assert ended == ["here\n"]


def test_reading_yields_the_output_of_a_command() -> None:
    with process.reading(sh("echo one; echo not shown >&2; echo two")) as data:
        assert data.readline() == b"one\n"
        assert data.read() == b"two\n"


def test_reading_raises_if_the_command_fails_at_its_end() -> None:
    got = b""
    with (
        pytest.raises(CommandError, match=r"^sh -c .*: why$"),
        process.reading(sh("echo half; echo why >&2; exit 3")) as data,
    ):
        got = data.read()
    assert got == b"half\n"


def test_writing_yields_the_input_of_a_command(tmp_path: Path) -> None:
    content = os.urandom(1_000_000)
    with process.writing(sh(f"cat > {tmp_path}/out; echo dropped")) as command:
        command.write(content)
    assert (tmp_path / "out").read_bytes() == content


def write_late(command: IO[bytes], size: int) -> None:
    time.sleep(0.1)
    command.write(bytes(size))


@pytest.mark.parametrize("size", [10, 10_000_000])
def test_writing_raises_if_the_command_stops_reading(size: int) -> None:
    with (
        pytest.raises(CommandError, match=r": why$"),
        process.writing(sh("exec <&-; echo why >&2; sleep 0.2; exit 3")) as command,
    ):
        write_late(command, size)


def fail_when_there(pid: Path) -> None:
    while not pid.exists() or not pid.read_text():
        time.sleep(0.01)
    raise KeyError


@pytest.mark.parametrize("door", [process.reading, process.writing])
def test_an_exception_of_the_block_ends_the_command(tmp_path: Path, door: object) -> None:
    with (
        pytest.raises(KeyError),
        door(sh(f"{whole_pid(tmp_path / 'pid')}; exec sleep 60")),  # type: ignore[operator]  # one of the two
    ):
        fail_when_there(tmp_path / "pid")
    assert gone(int((tmp_path / "pid").read_text()))


def write_and_fail(command: IO[bytes]) -> None:
    command.write(b"less than the buffer")
    raise KeyError


def test_input_that_was_not_sent_does_not_hide_an_error_of_ours() -> None:
    """A refused image ended in "Broken pipe"."""
    with pytest.raises(KeyError), process.writing(sh("exec sleep 60")) as command:
        write_and_fail(command)


@pytest.mark.parametrize("door", [process.reading, process.writing])
def test_reading_and_writing_report_a_missing_program(door: object) -> None:
    with (
        pytest.raises(MissingProgram),
        door(("no-such-program",)),  # type: ignore[operator]  # one of the two
    ):
        pytest.fail("it started")
