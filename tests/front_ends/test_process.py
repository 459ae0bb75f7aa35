"""The door to other programs, with real programs."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from typing import IO, Any

import pytest

from build_tasks import process
from build_tasks.errors import CommandError, CommandTimeout, Interrupted, MissingProgram
from build_tasks.process import children, watchdog

PYTHON = sys.executable


def sh(script: str) -> process.Command:
    return ("sh", "-c", script)


def noted(file: Path) -> str:
    """Return a script that writes the shell's process id to a file, whole from the beginning."""
    return f"echo $$ > {file}.new; mv {file}.new {file}"


def test_a_command_is_captured() -> None:
    done = process.run(sh('cat; echo "$X" >&2'), environment={"X": "there"}, input="here")
    assert (done.returncode, done.stdout, done.stderr) == (0, "here", "there\n")


def test_what_a_command_reads_may_be_any_bytes() -> None:
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


def test_a_command_that_does_not_end_is_ended_with_its_children(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! > {tmp_path}/pid; wait"
    with pytest.raises(CommandTimeout, match=r"^no end after 0.5 s: sh -c "):
        process.run(sh(script), timeout=0.5)
    assert gone(int((tmp_path / "pid").read_text()))


def gone(pid: int, seconds: float = 5) -> bool:
    """Return whether a killed process is gone, which init may take a moment to see."""
    deadline = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not alive(pid)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_a_command_that_ignores_us_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "GRACE", 0.3)
    with pytest.raises(CommandTimeout):
        process.run(sh("trap '' TERM; sleep 60 & wait; wait"), timeout=0.5)


def test_a_stream_is_shown_as_it_is_and_its_last_lines_are_kept(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    script = (
        "import sys; sys.stderr.buffer.write(b'x' * 200_000 + b'\\xff\\r\\x1b[1mend\\x1b[0m\\n')"
    )
    done = process.stream((PYTHON, "-c", script), terminal=False)
    assert capfdbinary.readouterr().err == b"x" * 200_000 + b"\xff\r\x1b[1mend\x1b[0m\n"
    assert done.stderr.endswith("\ufffd\rend\n")
    assert len(done.stderr) <= process.TAIL_BYTES


def test_a_stream_on_a_terminal_gets_a_terminal_of_the_same_size() -> None:
    """The whole way: a terminal of 70 columns, this suite on it, and a program that looks."""
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
        cwd=Path(__file__).parents[2],
    )
    os.close(slave)
    assert done.stdout == "True 70\n"
    assert os.read(master, 100) == b"True 70\r\n"  # the terminal's own carriage return, once
    os.close(master)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_stream_hides_secrets_and_keeps_the_rest(
    terminal: bool, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """A secret comes in two pieces; what has no end of a line is shown though the child waits."""
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
    """A defect once found: on a busy machine the error of a failed build was lost."""
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


def test_a_stream_whose_program_is_missing_leaves_nothing_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(MissingProgram):
        process.stream(("no-such-program",))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_spawned_command_outlives_us_and_logs(tmp_path: Path) -> None:
    log = tmp_path / "log"
    pid = process.spawn(sh('echo "$X"; sleep 60'), environment={"X": "here"}, log=log)
    try:
        assert os.getsid(pid) == pid
        while log.read_text() != "here\n":
            time.sleep(0.01)
    finally:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_becomes_an_interruption_that_ends_the_child(
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
        process.run(sh(f"{noted(pid_file)}; exec sleep 60"))
    thread.join()
    assert caught.value.exit_code == 128 + signum
    assert gone(int(pid_file.read_text()))
    assert signal.getsignal(signum) is before


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_a_command_starts_ends_it_too(
    monkeypatch: pytest.MonkeyPatch, signum: signal.Signals
) -> None:
    """On a busy machine the child runs long before the parent knows that it has one."""
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


def test_another_thread_may_run_commands() -> None:
    ended = []
    thread = threading.Thread(target=lambda: ended.append(process.run(sh("echo here")).stdout))
    thread.start()
    thread.join()
    assert ended == ["here\n"]


def test_only_the_main_thread_listens_to_signals() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def other() -> None:
        with process.interruptible():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_command_is_shown_as_a_line_to_paste(capsys: pytest.CaptureFixture[str]) -> None:
    process.echo(("a", "b c"), {"Y": "2", "X": "1 1"})
    assert capsys.readouterr().err == "+ env 'X=1 1' Y=2 a 'b c'\n"


def test_what_a_command_writes_is_read_as_it_comes() -> None:
    with process.reading(sh("echo one; echo not shown >&2; echo two")) as data:
        assert data.readline() == b"one\n"
        assert data.read() == b"two\n"


def test_a_command_that_fails_at_its_end_is_an_error_after_what_it_wrote() -> None:
    got = b""
    with (
        pytest.raises(CommandError, match=r"^sh -c .*: why$"),
        process.reading(sh("echo half; echo why >&2; exit 3")) as data,
    ):
        got = data.read()
    assert got == b"half\n"


def test_a_command_reads_what_is_written(tmp_path: Path) -> None:
    content = os.urandom(1_000_000)
    with process.writing(sh(f"cat > {tmp_path}/out; echo dropped")) as command:
        command.write(content)
    assert (tmp_path / "out").read_bytes() == content


def write_late(command: IO[bytes], size: int) -> None:
    time.sleep(0.1)
    command.write(bytes(size))


@pytest.mark.parametrize("size", [10, 10_000_000])
def test_a_command_that_stops_reading_says_why(size: int) -> None:
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
def test_an_error_of_ours_ends_the_command(tmp_path: Path, door: object) -> None:
    with (
        pytest.raises(KeyError),
        door(sh(f"{noted(tmp_path / 'pid')}; exec sleep 60")),  # type: ignore[operator]  # one of the two
    ):
        fail_when_there(tmp_path / "pid")
    assert gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("door", [process.reading, process.writing])
def test_a_missing_program_is_one_line_whichever_way(door: object) -> None:
    with (
        pytest.raises(MissingProgram),
        door(("no-such-program",)),  # type: ignore[operator]  # one of the two
    ):
        pytest.fail("it started")


def test_the_bytes_of_a_command_go_to_whom_they_are_for(
    capfd: pytest.CaptureFixture[str],
) -> None:
    got: list[bytes] = []
    done = process.stream(sh("echo out; echo err >&2; exit 3"), take=got.append)
    assert sorted(b"".join(got).split()) == [b"err", b"out"]
    assert done.returncode == 3
    assert capfd.readouterr().err == ""


def test_an_error_of_who_takes_the_bytes_ends_the_command(tmp_path: Path) -> None:
    def refuse(_: bytes) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        process.stream(sh(f"{noted(tmp_path / 'pid')}; echo x; exec sleep 60"), take=refuse)
    assert gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("script", ["exec sleep 60", "trap '' TERM; sleep 60 & wait; wait"])
def test_a_signal_ends_what_other_threads_run(
    tmp_path: Path, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the main thread hears of a signal; it ends the children of all."""
    monkeypatch.setattr(children, "GRACE", 0.5)
    ended: list[type[BaseException] | int] = []

    def work(number: int) -> None:
        try:
            command = sh(f"{noted(tmp_path / str(number))}; {script}")
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
    process.end_others()
    for thread in (*threads, sender):
        thread.join(timeout=20)
        assert not thread.is_alive()
    process.allow_others()
    for number in range(4):
        assert gone(int((tmp_path / str(number)).read_text()))
    # Each had its command ended, and none could begin another.
    assert [one for one in ended if isinstance(one, type)] == [Interrupted] * 4
    again = threading.Thread(target=lambda: ended.append(process.run(sh("exit 0")).returncode))
    again.start()
    again.join()
    assert ended[-1] == 0


def wait_in_a_thread(pid: Path) -> None:
    with process.interruptible(), process.pool(2) as pool:
        pool.submit(process.run, sh(f"{noted(pid)}; exec sleep 60"))


def test_a_signal_while_a_thread_starts_ends_what_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect once found: the thread's program ran to its end, and the run waited for it."""
    start_thread, start = threading.Thread.start, subprocess.Popen

    def interrupted(thread: threading.Thread) -> None:
        start_thread(thread)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)  # Python runs a signal's handler between two instructions

    def late(*command: Any, **options: Any) -> subprocess.Popen[bytes]:
        time.sleep(0.5)  # by then, all that is known to run has been ended
        return start(*command, **options)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    monkeypatch.setattr(subprocess, "Popen", late)
    before = threading.active_count()
    with pytest.raises(Interrupted):
        wait_in_a_thread(tmp_path / "pid")
    try:
        assert threading.active_count() == before
    finally:
        if appears(tmp_path / "pid", seconds=2):
            pid = int((tmp_path / "pid").read_text())
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_a_signal_while_threads_are_waited_for_ends_what_they_run(tmp_path: Path) -> None:
    """A defect once found: only while the caller did something of its own."""

    def send() -> None:
        if appears(tmp_path / "pid"):
            os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=send)
    sender.start()
    with pytest.raises(Interrupted):
        wait_in_a_thread(tmp_path / "pid")
    assert gone(int((tmp_path / "pid").read_text()))
    sender.join()


def wait_for_ever() -> None:
    time.sleep(60)


KILLED = """
import sys, threading
from build_tasks import process

def work(name):
    {how}

threads = [threading.Thread(target=work, args=(str(number),)) for number in range(2)]
for thread in threads[{threads}:]:
    thread.start()
if not {threads}:
    threads[0].join()
work("0")
"""
RUNS = {
    "run": "process.run(command(name))",
    "stream": "process.stream(command(name))",
    "reading": """
    with process.reading(command(name)) as data:
        data.read()""",
    "writing": """
    with process.writing(command(name)) as data:
        threading.Event().wait()""",
}
# It leaves a child of its own, which keeps no pipe of ours, in its group.
COMMAND = """
def command(name):
    script = '''
      trap "echo ended > {folder}/$0.ended; exit" TERM
      sleep 60 > /dev/null 2>&1 &
      echo $! > {folder}/$0.new; mv {folder}/$0.new {folder}/$0.child
      wait
    '''
    return ("sh", "-c", script, name)
"""


def appears(path: Path, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return path.exists()


def disappears(path: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def kill_when(path: Path, program: str) -> None:
    """Start a program of Python, and kill it when a file is there that its child makes."""
    with subprocess.Popen([PYTHON, "-c", program], cwd=Path(__file__).parents[2]) as killed:
        assert appears(path)
        killed.kill()


@pytest.mark.parametrize("how", RUNS)
@pytest.mark.parametrize("threads", [0, 2], ids=["threads", "main"])
def test_what_runs_ends_with_a_process_that_is_killed(
    tmp_path: Path, how: str, threads: int
) -> None:
    """buildx went on to push after SIGKILL of the front end."""
    program = COMMAND.format(folder=tmp_path) + KILLED.format(how=RUNS[how], threads=threads)
    names = ["0"] if threads else ["0", "1"]
    with subprocess.Popen(
        [PYTHON, "-c", program], cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL
    ) as killed:
        assert all(appears(tmp_path / f"{name}.child") for name in names)
        killed.kill()
    for name in names:
        assert appears(tmp_path / f"{name}.ended")
        assert gone(int((tmp_path / f"{name}.child").read_text()), 20)


def test_what_ignores_a_signal_is_killed_after_its_parent_was(tmp_path: Path) -> None:
    program = """
from build_tasks import process
script = "trap '' TERM; echo $$ > pid.new; mv pid.new pid; while :; do sleep 1; done"
process.run(("sh", "-c", script))
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([PYTHON, "-c", program], cwd=tmp_path, env=environment) as killed:
        assert appears(tmp_path / "pid")
        killed.kill()
    pid = int((tmp_path / "pid").read_text())
    assert gone(pid, 30)


def test_a_spawned_command_outlives_a_process_that_is_killed(tmp_path: Path) -> None:
    program = f"""
import pathlib
from build_tasks import process
process.run(("true",))
pid = process.spawn(("sleep", "60"), environment={{}}, log=pathlib.Path("{tmp_path}/log"))
pathlib.Path("{tmp_path}/pid").write_text(str(pid))
process.run(("sh", "-c", "echo > {tmp_path}/runs; sleep 60"))
"""
    kill_when(tmp_path / "runs", program)
    pid = int((tmp_path / "pid").read_text())
    time.sleep(1)
    assert alive(pid)
    os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="there is no /proc")
def test_a_child_that_was_not_reported_yet_ends_too(tmp_path: Path) -> None:
    """Between its start and the report of it, the parent may be killed."""
    program = f"""
from build_tasks import process
from build_tasks.process import watchdog
watchdog.started = lambda group: None
script = "setsid sleep 60 & echo $! > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; wait"
process.run(("sh", "-c", script))
"""
    kill_when(tmp_path / "pid", program)
    assert gone(int((tmp_path / "pid").read_text()), 20)


@pytest.mark.parametrize("name", [b"with spaces and 'quotes'", b"caf\xe9"])
def test_a_killed_process_leaves_no_file_that_a_child_writes_for_it(
    tmp_path: Path, name: bytes
) -> None:
    """A defect once found: each build that was killed left its metadata for a day."""
    file = tmp_path / os.fsdecode(name)
    program = f"""
import os, pathlib
from build_tasks import process
file = os.fsdecode({os.fsencode(file)!r})
process.remove_if_killed(pathlib.Path(file))
process.run(("sh", "-c", 'echo > "$1"; sleep 60', "sh", file))
"""
    kill_when(file, program)
    disappears(file)


def test_a_name_of_two_lines_is_not_taken_for_another_files(tmp_path: Path) -> None:
    other, last = tmp_path / "other", tmp_path / "last"
    other.touch()
    program = f"""
import pathlib
from build_tasks import process
process.remove_if_killed(pathlib.Path("/none\\nfile {other}"))
process.remove_if_killed(pathlib.Path("{last}"))
process.run(("sh", "-c", "echo > {last}; sleep 60"))
"""
    kill_when(last, program)
    disappears(last)  # files are removed in the order in which they were named
    assert other.exists()


def test_without_a_shell_commands_run_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "_shells", [])
    monkeypatch.setattr(watchdog, "_SHELL", "/no/such/shell")
    assert process.run(sh("echo there")).stdout == "there\n"


def test_a_shell_that_was_killed_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    shells: list[subprocess.Popen[bytes]] = []
    monkeypatch.setattr(watchdog, "_shells", shells)
    process.run(("true",))
    shells[0].kill()
    shells[0].wait()
    assert process.run(sh("echo there")).stdout == "there\n"
    assert len(shells) == 2
    for shell in shells:
        assert shell.stdin
        shell.stdin.close()
        assert shell.wait(10) <= 0
