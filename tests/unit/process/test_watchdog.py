"""Children end with a killed process."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from programs import PYTHON, ROOT, alive, appears, disappears, gone, kill_when, sh

from build_tasks.process import watchdog
from build_tasks.process.children import Children

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


@pytest.mark.parametrize("how", RUNS)
@pytest.mark.parametrize("threads", [0, 2], ids=["threads", "main"])
def test_children_end_with_a_killed_process(tmp_path: Path, how: str, threads: int) -> None:
    """Without the watchdog, buildx went on to push after SIGKILL of the front end."""
    program = COMMAND.format(folder=tmp_path) + KILLED.format(how=RUNS[how], threads=threads)
    names = ["0"] if threads else ["0", "1"]
    with subprocess.Popen([PYTHON, "-c", program], cwd=ROOT, stderr=subprocess.DEVNULL) as killed:
        assert all(appears(tmp_path / f"{name}.child") for name in names)
        killed.kill()
    for name in names:
        assert appears(tmp_path / f"{name}.ended")
        assert gone(int((tmp_path / f"{name}.child").read_text()), 20)


def test_a_child_that_ignores_sigterm_is_killed_after_its_parent(tmp_path: Path) -> None:
    program = """
from build_tasks import process
script = "trap '' TERM; echo $$ > pid.new; mv pid.new pid; while :; do sleep 1; done"
process.run(("sh", "-c", script))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([PYTHON, "-c", program], cwd=tmp_path, env=environment) as killed:
        assert appears(tmp_path / "pid")
        killed.kill()
    pid = int((tmp_path / "pid").read_text())
    assert gone(pid, 30)


def test_a_spawned_command_outlives_a_killed_process(tmp_path: Path) -> None:
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
def test_a_child_that_was_not_reported_yet_ends_with_a_killed_process(tmp_path: Path) -> None:
    """The parent may be killed between the start of a child and the report to the watchdog."""
    program = f"""
from build_tasks import process
from build_tasks.process import children
children.CHILDREN.watchdog.started = lambda group: None
script = "setsid sleep 60 & echo $! > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; wait"
process.run(("sh", "-c", script))
"""
    kill_when(tmp_path / "pid", program)
    assert gone(int((tmp_path / "pid").read_text()), 20)


@pytest.mark.parametrize("name", [b"with spaces and 'quotes'", b"caf\xe9"])
def test_files_of_a_killed_process_are_removed(tmp_path: Path, name: bytes) -> None:
    """Regression: each killed build left its metadata file for a day."""
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


def test_a_file_name_of_two_lines_removes_no_other_file(tmp_path: Path) -> None:
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
    disappears(last)  # files are removed in order
    assert other.exists()


def test_only_the_last_command_for_a_killed_process_is_run(tmp_path: Path) -> None:
    """With its environment, and whatever its words have in them."""
    program = f"""
from build_tasks import process
from build_tasks.process.children import CHILDREN
script = 'printf %s "$A $0" > "$1.new"; mv "$1.new" "$1"'
for name in ("former", "it's"):
    command = ("sh", "-c", script, name, f"{tmp_path}/{{name}}")
    CHILDREN.watchdog.run_if_killed(command, {{"A": "1  2"}})
CHILDREN.watchdog.run_if_killed(("touch\\n", "{tmp_path}/former"), {{}})
CHILDREN.watchdog.run_if_killed(command, {{"A": "1  2"}})
process.run(("sh", "-c", "echo > {tmp_path}/runs; sleep 60"))
"""
    kill_when(tmp_path / "runs", program)
    assert appears(tmp_path / "it's")
    assert (tmp_path / "it's").read_text() == "1  2 it's"
    assert not (tmp_path / "former").exists()


def test_commands_run_without_a_shell_for_the_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "_SHELL", "/no/such/shell")
    with Children().run(sh("exit 3"), None, stdin=subprocess.DEVNULL) as child:
        assert child.wait() == 3


def test_a_watchdog_that_was_killed_is_started_again() -> None:
    dog = watchdog.Watchdog()
    shells: list[subprocess.Popen[bytes]] = []
    for _ in range(2):
        dog.start()
        dog.start()
        assert dog._shell
        shells.append(dog._shell)
        os.kill(shells[-1].pid, signal.SIGKILL)
        shells[-1].wait()
    assert shells[1].stdin
    shells[1].stdin.close()
    assert shells[0] is not shells[1]
