"""A command on our own standard streams: its status, its signals, and what ends with it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from programs import PYTHON, ROOT, appears, disappears, sh
from terminal import on_terminal

from build_tasks import process
from build_tasks.errors import Interrupted, MissingProgram

ATTACHED = """
import sys
from build_tasks import process

with process.interruptible(), process.attached(
    ("sh", "-c", sys.argv[1]), environment={}, stdin=True, cleanup=("sh", "-c", sys.argv[2])
) as status:
    print("status", status)
"""


def test_the_status_is_the_commands_and_then_the_cleanup_runs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cleaned = tmp_path / "cleaned"
    with process.attached(
        sh("cat; echo $A; echo e >&2; exit 7"),
        environment={"A": "1"},
        stdin=False,
        cleanup=("touch", str(cleaned)),
    ) as status:
        assert status == 7
        assert not cleaned.exists()
    assert cleaned.exists()
    assert capfd.readouterr() == ("1\n", "e\n")


def test_a_program_that_cannot_be_started_leaves_nothing(tmp_path: Path) -> None:
    cleaned = tmp_path / "cleaned"
    with (
        pytest.raises(MissingProgram),
        process.attached(
            ("/no/such/program",), environment={}, stdin=False, cleanup=("touch", str(cleaned))
        ),
    ):
        pytest.fail("it cannot be started")
    assert cleaned.exists()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_passed_on_and_the_command_may_end_by_itself(
    tmp_path: Path, signum: signal.Signals
) -> None:
    name = signum.name.removeprefix("SIG")
    script = f"trap 'echo {name} > got; exit' {name}; touch ready; while :; do sleep 0.02; done"

    def send() -> None:
        assert appears(tmp_path / "ready")
        os.kill(os.getpid(), signum)

    thread = threading.Thread(target=send)
    thread.start()
    with (
        pytest.raises(Interrupted) as caught,
        process.interruptible(),
        process.attached(
            sh(f"cd {tmp_path}; {script}"),
            environment={},
            stdin=False,
            cleanup=sh(f"cp {tmp_path}/got {tmp_path}/cleaned"),
        ),
    ):
        pytest.fail("it was interrupted")
    thread.join()
    assert caught.value.exit_code == 128 + signum
    assert (tmp_path / "cleaned").read_text() == f"{name}\n"


def test_the_cleanup_ends_a_command_that_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `docker rm` ends `docker run`, whose container ignores the signal."""
    monkeypatch.setattr("build_tasks.process.foreground.GRACE", 0.1)
    script = (
        f"trap '' TERM; touch {tmp_path}/ready; until [ -e {tmp_path}/end ]; do sleep 0.02; done"
    )

    def send() -> None:
        assert appears(tmp_path / "ready")
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=send)
    thread.start()
    began = time.monotonic()
    with (
        pytest.raises(Interrupted),
        process.interruptible(),
        process.attached(
            sh(script), environment={}, stdin=False, cleanup=("touch", f"{tmp_path}/end")
        ),
    ):
        pytest.fail("it was interrupted")
    thread.join()
    assert time.monotonic() - began < 5


def test_the_cleanup_of_a_killed_process_is_run_at_once(tmp_path: Path) -> None:
    """Although the command itself takes seconds to end."""
    (tmp_path / "left").touch()
    script = f"trap '' TERM; touch {tmp_path}/ready; sleep 60; sleep 60"
    arguments = (ATTACHED, script, f"rm -f {tmp_path}/left")
    with subprocess.Popen([PYTHON, "-c", *arguments], cwd=ROOT, stdin=subprocess.DEVNULL) as killed:
        assert appears(tmp_path / "ready")
        killed.kill()
    disappears(tmp_path / "left", 6)  # SIGKILL comes after 7


def test_input_is_there_unless_it_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(stdin: int) -> str:
        program = "from build_tasks import process; print(process.has_input())"
        command = (PYTHON, "-c", program)
        done = subprocess.run(command, cwd=ROOT, check=True, stdin=stdin, capture_output=True)
        return done.stdout.decode().strip()

    master, slave = pty.openpty()
    try:
        assert asked(slave) == "False"
    finally:
        os.close(master)
        os.close(slave)
    assert asked(subprocess.DEVNULL) == "True"
    monkeypatch.setattr(sys, "stdin", None)
    assert not process.has_input()


def test_a_terminal_is_passed_on_with_its_sizes_and_gets_its_modes_back(tmp_path: Path) -> None:
    """The command is in a session of its own, so no signal of the terminal reaches it."""
    script = """
        trap 'stty size; resized=1' WINCH
        stty raw -echo; echo ready
        until [ "$resized" ]; do sleep 0.05; done
        kill -s KILL $$
    """
    program = f"from build_tasks import process; assert process.on_terminal(){ATTACHED}"
    program += "import os; os.system('stty -a')"
    command = (PYTHON, "-c", program, script, "true")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with on_terminal(command, folder=tmp_path, environment=environment) as terminal:
        terminal.wait_for("ready")
        terminal.resize(33, 77)
    assert "33 77" in terminal.text
    assert "status -9" in terminal.text
    assert " icanon" in terminal.text
    assert " echo " in terminal.text
