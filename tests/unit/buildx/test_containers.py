"""Containers of one image."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from build_tasks import process
from build_tasks.buildx import containers as module
from build_tasks.buildx.containers import Containers, Foreground
from build_tasks.buildx.toolchain import Client
from build_tasks.process import Command, Completed

CLIENT = Client("docker", ("docker-buildx",), {})


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[Command]:
    asked: list[Command] = []

    def run(command: Command, **_: object) -> Completed:
        asked.append(command)
        return Completed(command, 1 if "broken" in command else 0, "id1\n", "")

    monkeypatch.setattr(process, "run", run)
    return asked


OPTIONS = (
    *("--name", "airflow-images-t-0", "--label", "airflow-images.verify=t"),
    *("--platform", "linux/amd64"),
)


def containers(image: str = "i") -> Containers:
    return Containers(CLIENT, image, "linux/amd64", "t", itertools.count())


def test_a_container_runs_one_command_and_is_removed(commands: list[Command]) -> None:
    containers().run("bash", "-c", "x y", environment={"A": "1 2"}, options=("--user", "1:0"))
    assert commands == [
        (
            *("docker", "run", "--rm", *OPTIONS, "--env", "A=1 2", "--user", "1:0"),
            *("i", "bash", "-c", "x y"),
        )
    ]


def test_variables_of_all_containers_come_before_those_of_a_command(
    commands: list[Command],
) -> None:
    having = replace(containers(), environment={"A": "0", "B": "0"})
    having.run("true", environment={"A": "1"})
    assert commands[0][len(OPTIONS) + 3 :] == ("--env", "A=1", "--env", "B=0", "i", "true")
    having.start(image="other")
    assert "--env" not in commands[1]


def test_a_script_is_read_from_standard_input(commands: list[Command]) -> None:
    containers().python("print()")
    (command,) = commands
    assert command == (
        *("docker", "run", "--rm", "--interactive", *OPTIONS),
        *("--entrypoint", "python", "i", "-"),
    )


def test_files_are_exported_from_a_container_that_is_not_started(commands: list[Command]) -> None:
    containers().export(Path("/f.tar"))
    assert commands == [
        ("docker", "create", *OPTIONS, "i", "true"),
        ("docker", "export", "--output", "/f.tar", "id1"),
    ]
    commands.clear()
    assert containers("broken").export(Path("/f.tar")).returncode == 1
    assert len(commands) == 1


def test_containers_are_removed(commands: list[Command], monkeypatch: pytest.MonkeyPatch) -> None:
    containers().clear()
    assert commands == [
        ("docker", "ps", "--all", "--quiet", "--filter", "label=airflow-images.verify=t"),
        ("docker", "rm", "--force", "--volumes", "id1"),
    ]
    monkeypatch.setattr(process, "run", lambda command, **_: Completed(command, 0, "", ""))
    containers().clear()


def test_two_verifications_do_not_share_a_name() -> None:
    first, second = Containers(CLIENT, "i", ""), Containers(CLIENT, "i", "")
    names = [containers._options("")[1] for containers in (first, first, second, second)]
    assert len(set(names)) == 4


def test_another_image_is_started_on_the_platform_of_the_engine(commands: list[Command]) -> None:
    assert containers().start(image="db", options=("--init",)).stdout == "id1\n"
    assert commands == [("docker", "run", "--detach", *OPTIONS[:4], "--init", "db")]


def test_a_running_container_is_queried(commands: list[Command]) -> None:
    containers().execute("id1", "true")
    containers().logs("id1", lines=20)
    assert commands == [
        ("docker", "exec", "id1", "true"),
        ("docker", "logs", "--tail", "20", "id1"),
    ]


@pytest.mark.parametrize(("printed", "status"), [("137\n", 137), ("0\n", 0), ("", 1)])
def test_the_exit_status_of_a_container_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, printed: str, status: int
) -> None:
    def run(command: Command, **_: object) -> Completed:
        assert command[-2:] == ("wait", "id1")
        return Completed(command, 0, printed, "")

    monkeypatch.setattr(process, "run", run)
    assert containers().wait("id1") == status


def test_a_container_in_the_foreground_has_the_options_that_it_needs() -> None:
    plain = Foreground("i:1", "linux/amd64", "n", "1000:0")
    start = ("docker", "run", "--pull", "never", "--platform", "linux/amd64", "--name", "n")
    assert module.run_command(CLIENT, plain) == (*start, "--user", "1000:0", "i:1")
    whole = Foreground(
        *("i:1", "linux/amd64", "n", "1000:0"),
        labels=("l=1",),
        environment=("A=1 2", "TOKEN"),
        mounts=("type=bind,source=/a,target=/b",),
        ports=("127.0.0.1:80:80",),
        folder="/opt/airflow",
        init=True,
        stdin=True,
        terminal=True,
        command=("bash", "-c", "x y"),
    )
    assert module.run_command(CLIENT, whole) == (
        *(*start, "--user", "1000:0", "--init", "--interactive", "--tty", "--label", "l=1"),
        *("--env", "A=1 2", "--env", "TOKEN", "--mount", "type=bind,source=/a,target=/b"),
        *("--publish", "127.0.0.1:80:80", "--workdir", "/opt/airflow"),
        *("--detach-keys", "ctrl-^,ctrl-^", "i:1", "bash", "-c", "x y"),
    )


def test_a_container_is_removed_with_its_unnamed_volumes() -> None:
    assert module.remove_command(CLIENT, "n") == ("docker", "rm", "--force", "--volumes", "n")


@pytest.mark.parametrize(
    ("output", "started"),
    [
        ('{"StartedAt": "2026-11-30T19:57:29.35Z", "ExitCode": 125}', True),
        ('{"StartedAt": "0001-01-01T00:00:00Z", "Error": "address in use"}', False),
        ("", False),
    ],
)
def test_a_container_has_started_or_not(
    monkeypatch: pytest.MonkeyPatch, output: str, started: bool
) -> None:
    monkeypatch.setattr(process, "run", lambda command, **_: Completed(command, 0, output, ""))
    assert module.started(CLIENT, "n") is started
