"""Real programs for tests of processes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from build_tasks import process

ROOT = Path(__file__).parents[1]
PYTHON = sys.executable


def sh(script: str) -> process.Command:
    return ("sh", "-c", script)


def whole_pid(file: Path) -> str:
    """Return a script that writes the shell's process id to a file, whole from the beginning."""
    return f"echo $$ > {file}.new; mv {file}.new {file}"


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
    """Run a Python program, and kill it once its child has created a file."""
    with subprocess.Popen([PYTHON, "-c", program], cwd=ROOT) as killed:
        assert appears(path)
        killed.kill()
