"""A single build shows BuildKit's own display on a terminal, and plain lines elsewhere."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios

from suite import Suite

DOCKERFILE = "ARG BASE_IMAGE=scratch\nFROM ${BASE_IMAGE}\nRUN true\n"  # nothing to warn of


def test_a_terminal_gets_buildkits_own_display(project: Suite) -> None:
    (project.root / "Dockerfile.ci").write_text(DOCKERFILE)
    build = ("invoke", "image.build", "--python", "3.11")
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (40, 100))
    with subprocess.Popen(
        [sys.executable, "-m", *build],
        cwd=project.root,
        env={**project.environment, "TERM": "xterm"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    ) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                chunk = os.read(master, 65536)
            except OSError:
                break
            shown += chunk
    os.close(master)
    assert process.returncode == 0
    assert b"[+] Building" in shown
    assert b"\x1b[" in shown  # it moves the cursor: the display is drawn, not logged
    assert b"#1 [internal]" not in shown


def test_a_pipe_gets_plain_lines(project: Suite) -> None:
    (project.root / "Dockerfile.ci").write_text(DOCKERFILE)
    done = project.good("image.build", "--python", "3.11")
    _, _, text = done.stderr.partition("\n")  # the line that announces the build
    steps = text.partition("ci-3.11-amd64: ")[0]
    assert "[2/2] true" in steps
    # The log has it. On a busy machine it is one of the slowest steps of the report that follows.
    assert "[internal]" not in steps
    assert "\x1b[" not in done.stderr
