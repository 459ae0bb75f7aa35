"""Children of threads, and children that outlive this process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from programs import appears, gone, sh, whole_pid

from build_tasks import process
from build_tasks.errors import CommandTimeout, Interrupted
from build_tasks.process import children


def test_a_command_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "GRACE", 0.3)
    with pytest.raises(CommandTimeout):
        process.run(sh("trap '' TERM; sleep 60 & wait; wait"), timeout=0.5)


def test_a_spawned_command_writes_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    pid = process.spawn(sh('echo "$X"; sleep 60'), environment={"X": "here"}, log=log)
    try:
        assert os.getsid(pid) == pid
        while log.read_text() != "here\n":
            time.sleep(0.01)
    finally:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("script", ["exec sleep 60", "trap '' TERM; sleep 60 & wait; wait"])
def test_a_signal_ends_the_children_of_other_threads(
    tmp_path: Path, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the main thread receives the signal; it ends the children of all threads."""
    monkeypatch.setattr(children, "GRACE", 0.5)
    ended: list[type[BaseException] | int] = []

    def work(number: int) -> None:
        try:
            command = sh(f"{whole_pid(tmp_path / str(number))}; {script}")
            ended.append(process.stream(command, take=lambda _: None).returncode)
            process.run(sh("exit 0"))
        except Interrupted as error:
            ended.append(type(error))

    def send() -> None:
        while not all((tmp_path / str(n)).exists() for n in range(4)):
            time.sleep(0.01)
        while signal.getsignal(signal.SIGTERM) is before:  # it would end the tests themselves
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    sender = threading.Thread(target=send)
    for thread in (*threads, sender):
        thread.start()
    with pytest.raises(Interrupted), process.interruptible():
        wait_for_ever()
    with process.stoppable_threads() as stop:
        stop()
        for thread in (*threads, sender):
            thread.join(timeout=20)
            assert not thread.is_alive()
    for number in range(4):
        assert gone(int((tmp_path / str(number)).read_text()))
    # Each had its command ended, and none could begin another.
    assert [one for one in ended if isinstance(one, type)] == [Interrupted] * 4
    again = threading.Thread(target=lambda: ended.append(process.run(sh("exit 0")).returncode))
    again.start()
    again.join()
    assert ended[-1] == 0


def sleep_in_a_thread(pid: Path) -> None:
    with process.interruptible(), process.pool(2) as pool:
        pool.submit(process.run, sh(f"{whole_pid(pid)}; exec sleep 60"))


def test_a_signal_while_a_thread_starts_ends_its_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: the thread's program ran to its end, and the run waited for it."""
    start_thread, start = threading.Thread.start, subprocess.Popen

    def interrupted(thread: threading.Thread) -> None:
        start_thread(thread)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)  # Python runs a signal's handler between two instructions

    def late(*command: Any, **options: Any) -> subprocess.Popen[bytes]:
        time.sleep(0.5)  # by then, all known children were ended
        return start(*command, **options)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    monkeypatch.setattr(subprocess, "Popen", late)
    before = threading.active_count()
    with pytest.raises(Interrupted):
        sleep_in_a_thread(tmp_path / "pid")
    try:
        assert threading.active_count() == before
    finally:
        if appears(tmp_path / "pid", seconds=2):
            pid = int((tmp_path / "pid").read_text())
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_a_signal_while_a_pool_waits_for_its_threads_ends_their_children(tmp_path: Path) -> None:
    """Regression: ^C ended them only while the block ran."""

    def send() -> None:
        if appears(tmp_path / "pid"):
            os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=send)
    sender.start()
    with pytest.raises(Interrupted):
        sleep_in_a_thread(tmp_path / "pid")
    assert gone(int((tmp_path / "pid").read_text()))
    sender.join()


def test_a_signal_ends_the_program_that_a_thread_is_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: on a busy machine the program runs before the thread knows of it."""
    start = subprocess.Popen

    def slow(*command: Any, **options: Any) -> subprocess.Popen[bytes]:
        child = start(*command, **options)
        assert appears(tmp_path / "pid")
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
        return child

    with process.interruptible():
        process.run(("true",))  # starts the watchdog
    monkeypatch.setattr(subprocess, "Popen", slow)
    with pytest.raises(Interrupted):
        sleep_in_a_thread(tmp_path / "pid")
    assert gone(int((tmp_path / "pid").read_text()))


def wait_for_ever() -> None:
    time.sleep(60)
