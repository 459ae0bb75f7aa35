"""Several builds at once on a real terminal, by the real nox and invoke with a fake docker."""

from __future__ import annotations

import base64
import json
import sys

import pytest
from fake_docker import Bench
from terminal import on_terminal

THREE = ("image.build", "--python", "3.9,3.11,3.13")
NASTY = "\x1b]0;owned\x07\x1b[2Jpandas[excel] [/b]"


def events(count: int) -> str:
    """Return what a build says: events of steps with a log, and lines that are no events."""
    said = [NASTY]
    for number in range(count):
        digest = f"sha256:{number}"
        time = f"2026-01-01T00:00:{number % 60:02d}Z"
        data = base64.b64encode(f"{NASTY}\n".encode()).decode()
        name = f"[{number + 2}/{count + 1}] RUN {NASTY}"
        said += [
            json.dumps({"vertexes": [{"digest": digest, "name": name, "started": time}]}),
            json.dumps({"logs": [{"vertex": digest, "data": data}]}),
            f"a line {number}",
        ]
    return "\n".join(said)


def test_builds_at_once_are_drawn_on_a_terminal_and_end(bench: Bench) -> None:
    command = (sys.executable, "-m", "invoke", *THREE)
    environment = {**bench.environment, "FAKE_STDERR": events(200), "FAKE_SLEEP": "3"}
    with on_terminal(command, folder=bench.root, environment=environment) as terminal:
        pass
    assert terminal.process.returncode == 0, terminal.text[-2000:]
    assert "building" in terminal.text
    assert "pandas[excel] [/b]" in terminal.text
    assert terminal.text.count("loaded") >= 3
    assert "owned" not in terminal.text
    assert "\x1b[2J" not in terminal.text
    assert terminal.text.rstrip().endswith("\x1b[?25h") or "\x1b[?25h" in terminal.text  # a cursor


@pytest.mark.parametrize("front_end", ["nox", "invoke"])
def test_ctrl_c_in_the_middle_of_builds_on_a_terminal_ends_them(
    bench: Bench, front_end: str
) -> None:
    command = {
        "nox": ("nox", "-s", "build_all", "--", *THREE[1:], "--kind", "ci"),
        "invoke": ("invoke", *THREE),
    }[front_end]
    environment = {**bench.environment, "FAKE_SLEEP": "30"}
    with on_terminal(
        (sys.executable, "-m", *command), folder=bench.root, environment=environment
    ) as terminal:
        terminal.wait_for("building")
        terminal.press(b"\x03")
    assert terminal.process.returncode == 130
    assert terminal.text.count("cancelled") >= 3
    assert "Traceback" not in terminal.text
    assert "\x1b[?25h" in terminal.text  # the cursor is shown again
