"""Signals end a command."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from programs import gone, sh, whole_pid

from build_tasks import process
from build_tasks.errors import Interrupted
from build_tasks.process import children


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_raises_interrupted_and_ends_the_child(
    tmp_path: Path, signum: signal.Signals
) -> None:
    pid_file = tmp_path / "pid"

    def send() -> None:
        while not pid_file.exists() or not pid_file.read_text().strip():
            time.sleep(0.01)
        os.kill(os.getpid(), signum)

    before = signal.getsignal(signum)
    thread = threading.Thread(target=send)
    thread.start()
    with pytest.raises(Interrupted) as caught, process.interruptible():
        process.run(sh(f"{whole_pid(pid_file)}; exec sleep 60"))
    thread.join()
    assert caught.value.exit_code == 128 + signum
    assert gone(int(pid_file.read_text()))
    assert signal.getsignal(signum) is before


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_the_start_of_a_command_ends_it(
    monkeypatch: pytest.MonkeyPatch, signum: signal.Signals
) -> None:
    """On a busy machine the child runs before Popen returns."""
    started = []
    start = subprocess.Popen

    def interrupted(*command: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(start(*command, **options))
        os.kill(os.getpid(), signum)
        time.sleep(0.01)  # Python runs a signal's handler between two instructions
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with pytest.raises(Interrupted) as caught, process.interruptible():
        process.run(sh("exec sleep 60"))
    assert caught.value.exit_code == 128 + signum
    try:
        assert started[0].returncode == -signal.SIGTERM
    finally:
        started[0].kill()
        started[0].wait()


def test_only_the_main_thread_handles_signals() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def other() -> None:
        with process.interruptible():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen == [before]


def wait_for_run() -> None:
    process.run(("sleep", "30"))


def wait_for_output() -> None:
    with process.reading(("sleep", "30")) as output:
        output.read(1)


@pytest.mark.parametrize("wait", [wait_for_run, wait_for_output])
def test_a_signal_that_does_not_interrupt_the_wait_is_handled_soon(
    monkeypatch: pytest.MonkeyPatch, wait: Callable[[], None]
) -> None:
    """As if it had come between Python's look for signals and the system call."""
    sent = threading.Event()

    def send() -> None:
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)
        sent.wait(30)  # the kernel gives the signal to this thread, for the other one blocks it

    monkeypatch.setattr(children, "GRACE", 0.1)  # the command blocks the signal, too
    thread = threading.Thread(target=send)
    thread.start()
    begin = time.monotonic()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        with pytest.raises(Interrupted), process.interruptible():
            wait()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        sent.set()
        thread.join()
    assert time.monotonic() - begin < 20
