"""Containers of an image with a developer's sources: users, streams, signals, ports and volumes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import teams
from suite import ROOT, Suite
from terminal import on_terminal

from build_tasks.buildx import toolchain
from build_tasks.config import loading
from build_tasks.errors import RunError
from build_tasks.model.matrix import Build, ImageKind
from build_tasks.plan import build_host
from build_tasks.run import container
from build_tasks.run.request import Request

DOCKERFILE = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN <<EOF
useradd --uid 50000 --gid 0 --create-home airflow
install --directory --owner 50000 --group 0 --mode 0775 /opt/airflow /home/airflow
chmod g=u /etc/passwd
EOF
COPY --chmod=755 <<"EOF" /entrypoint
#!/bin/sh
getent passwd "$(id -u)" > /dev/null ||
    echo "airflow-$(id -u):x:$(id -u):0::${HOME}:/bin/bash" >> /etc/passwd
exec "$@"
EOF
ENV HOME=/home/airflow
USER 50000
ENTRYPOINT ["/entrypoint"]
"""
COPY = "COPY sources/ /opt/airflow/\n"
#: Seconds for a container to start or to end.
PATIENCE = 30.0
NIGHTLY = pytest.mark.nightly


@pytest.fixture(scope="module")
def team(suite: Suite, base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """A project with a small CI image, which does not have the sources."""
    folder = teams.make(tmp_path_factory.mktemp("run") / "team", "")
    (folder / "Dockerfile.ci").write_text(DOCKERFILE)
    (folder / "sources").mkdir()
    (folder / "sources/edited.py").write_text("print('first')\n")
    team = suite.at(folder).having(
        AIRFLOW_IMAGES_BASE_IMAGE=base, AIRFLOW_IMAGES_SOURCES="mount", PYTHONPATH=str(ROOT)
    )
    assert team.invoke(*RUN, "true").returncode == 0
    yield team
    team.engine("volume", "prune", "--all", "--force", "--filter", "label=airflow-images.home")


RUN = ("image.run", "--python", "3.11", "--")


def containers(team: Suite) -> list[str]:
    return team.engine("ps", "--all", "--quiet", "--filter", "label=airflow-images.run").split()


def wait_for(team: Suite, number: int) -> None:
    """Wait until there are so many containers."""
    until = time.monotonic() + PATIENCE
    while len(containers(team)) != number:
        assert time.monotonic() < until, containers(team)
        time.sleep(0.1)


def test_an_image_is_built_when_it_is_out_of_date_and_not_else(team: Suite) -> None:
    (team.root / "Dockerfile.ci").write_text(DOCKERFILE + COPY)
    team = team.having(AIRFLOW_IMAGES_SOURCES="copy")
    try:
        first = team.nox("test_ci-3.11", "python", "edited.py")
        assert "the engine has an older one, since changed: " in first.stderr, first.stderr
        assert first.stdout == "first\n"
        again = team.invoke(*RUN, "python", "edited.py")
        assert again.stdout == "first\n"
        assert "is up to date: " in again.stderr
        assert len(again.stderr.splitlines()) == 1
        (team.root / "sources/edited.py").write_text("print('second')\n")
        old = team.invoke(*RUN[:-1], "--no-build", "--", "python", "edited.py")
        assert "since changed: files (sources/edited.py): it runs all the same" in old.stderr
        assert old.stdout == "first\n"
        new = team.invoke(*RUN, "python", "edited.py")
        assert "since changed: files (sources/edited.py): building it" in new.stderr
        assert new.stdout == "second\n"
    finally:
        (team.root / "Dockerfile.ci").write_text(DOCKERFILE)


def test_mounted_sources_need_no_build(team: Suite) -> None:
    for text in ("mounted", "edited"):
        (team.root / "sources/edited.py").write_text(f"print('{text}')\n")
        done = team.invoke(*RUN, "python", "edited.py")
        assert done.stdout == f"{text}\n", done.stderr


def test_input_output_and_exit_code_are_those_of_the_command(team: Suite) -> None:
    script = "cat; echo to-stderr >&2; exit 5"
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *RUN, "sh", "-c", script],
        cwd=team.root,
        env=dict(team.environment),
        input="a\0b",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.returncode) == ("a\0b", 5)
    assert done.stderr.splitlines()[-2:] == ["to-stderr", "sh exited with code 5"]
    assert not containers(team)


def test_what_docker_cannot_start_is_its_error_and_not_the_commands(team: Suite) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        failed = team.invoke(*RUN[:-1], "--port", port, "--", "true")
    assert failed.returncode == 3
    assert "address already in use" in failed.stderr
    assert failed.stderr.splitlines()[-1].endswith("the container did not start, see above")
    assert team.invoke(*RUN, "sh", "-c", "exit 125").returncode == 125
    assert not containers(team)


def test_variables_and_ports(team: Suite) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    word = "hunter2" * 3
    having = team.having(SOME_TOKEN=word)
    options = ("--env", "SOME_TOKEN", "--env", "A=1 2", "--port", f"{port}:8000", "--verbose")
    script = 'echo "$SOME_TOKEN,$A" > token; exec python -m http.server'
    with having.start("invoke", *RUN[:-1], *options, "--", "sh", "-c", script) as process:
        until = time.monotonic() + PATIENCE
        text = ""
        while not text and time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/token") as answer:
                    text = answer.read().decode()
            except OSError:
                time.sleep(0.1)
        arguments = [file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline")]
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE)
    assert text == f"{word},1 2\n", errors
    assert not any(word.encode() in line for line in arguments)
    assert word not in errors
    assert "--env SOME_TOKEN" in errors


@pytest.mark.parametrize("uid", [0, 12345, pytest.param(50000, marks=NIGHTLY)])
def test_files_are_the_callers(
    team: Suite, uid: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The volume of the home folder is the image's user's, and group 0 may write to it."""
    os.chown(team.root / "sources", uid, -1)
    monkeypatch.setattr(os, "getuid", lambda: uid)
    for name, value in team.environment.items():
        if name.startswith("AIRFLOW_IMAGES_"):
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(team.root)
    settings = loading.load()
    client = toolchain.find("embedded", start=False, announce=print)
    host = build_host.BuildHost(client, settings, build_host.names(settings, client))
    build = Build(ImageKind.CI, "3.11", client.native)
    reference = f"{host.names.image(build)}:latest"
    sources = container.mounted_sources(settings, build.kind, print)
    assert sources == team.root / "sources"
    script = "id -un; mkdir -p ~/.cache/uv; echo x >> ~/.cache/uv/x; cat ~/.cache/uv/x; mkdir new"
    for runs in (1, 2):
        asked = Request(("bash", "-ceu", script))
        container.run(client, container.describe(host, build, reference, sources, asked))
        name, *lines = capfd.readouterr().out.splitlines()
        assert name == {0: "root", 50000: "airflow"}.get(uid, f"airflow-{uid}")
        assert lines == ["x"] * runs
        assert (sources / "new").stat().st_uid == uid
        (sources / "new").rmdir()
    with pytest.raises(RunError) as failed:
        container.run(
            client, container.describe(host, build, reference, sources, Request(("false",)))
        )
    assert failed.value.exit_code == 1


SIGNALLED = "trap 'echo got-{0} > signal; exit 0' {0}; touch ready; while :; do sleep 0.1; done"


@pytest.mark.parametrize(
    "name",
    ["TERM", pytest.param("INT", marks=NIGHTLY), pytest.param("HUP", marks=NIGHTLY)],
)
def test_a_signal_reaches_the_command(team: Suite, name: str) -> None:
    number = signal.Signals[f"SIG{name}"]
    files = team.root / "sources"
    with team.start("invoke", *RUN, "bash", "-c", SIGNALLED.format(name)) as process:
        until = time.monotonic() + PATIENCE
        while not (files / "ready").exists() and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(number)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number
    assert (files / "signal").read_text() == f"got-{name}\n"
    for file in ("ready", "signal"):
        (files / file).unlink()
    assert not containers(team)


def test_a_killed_front_end_leaves_no_container(team: Suite) -> None:
    with team.start("nox", "-s", "shell_ci-3.11", "--", "sleep", "600") as process:
        wait_for(team, 1)
        process.kill()
    began = time.monotonic()
    wait_for(team, 0)
    assert time.monotonic() - began < 5


def test_a_shell_on_a_terminal(team: Suite) -> None:
    command = (sys.executable, "-m", "nox", "-s", "shell_ci-3.11")
    with on_terminal(command, folder=team.root, environment=team.environment) as terminal:
        terminal.wait_for(":/opt/airflow", PATIENCE)
        terminal.press(b"stty size; echo $TERM-$((40+2))\n")
        terminal.wait_for("30 100")
        terminal.wait_for("xterm-42")
        terminal.resize(40, 120)
        terminal.press(b"sleep 1; stty size\n")
        terminal.wait_for("40 120")
        terminal.press(b"sleep 600\n")
        time.sleep(0.5)
        terminal.press(b"\x03")
        terminal.press(b"echo status-$?\n")
        terminal.wait_for("status-130")
        terminal.press(b"sta=ctrl-p; echo $sta-$sta\n")
        terminal.wait_for("ctrl-p-ctrl-p")
        shown = terminal.text.count("echo $sta")
        terminal.press(b"\x10")  # the line before, at once
        terminal.wait_until(lambda text: text.count("echo $sta") > shown)
        terminal.press(b"\x15exit 0\n")
    assert terminal.process.returncode == 0, terminal.text
    assert not containers(team)


def test_a_terminal_that_is_closed_ends_the_container(team: Suite) -> None:
    command = (sys.executable, "-m", "invoke", *RUN, "bash")
    with on_terminal(command, folder=team.root, environment=team.environment) as terminal:
        terminal.wait_for(":/opt/airflow", PATIENCE)
        assert len(containers(team)) == 1
        terminal.process.send_signal(signal.SIGHUP)  # as the kernel does then
    wait_for(team, 0)
