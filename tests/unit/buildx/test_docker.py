from __future__ import annotations

import json
from pathlib import Path

import pytest

from build_tasks import process
from build_tasks.buildx import docker
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import EngineError
from build_tasks.model.matrix import Platform
from build_tasks.process import Command, Completed

CLIENT = Client("docker", ("docker-buildx",), {})


def answers(
    monkeypatch: pytest.MonkeyPatch, stdout: str, stderr: str = "", code: int = 0
) -> list[Command]:
    commands: list[Command] = []

    def run(command: Command, **_: object) -> Completed:
        commands.append(command)
        return Completed(command, code, stdout, stderr)

    monkeypatch.setattr(process, "run", run)
    return commands


def test_an_image_is_pulled_for_one_platform() -> None:
    assert docker.tag_command(CLIENT, "i@sha256:1", "i:1")[-3:] == ("tag", "i@sha256:1", "i:1")
    assert docker.pull_command(CLIENT, "i:1", Platform.ARM64) == (
        *("docker", "pull", "--quiet", "--platform", "linux/arm64", "i:1"),
    )


def test_the_history_lists_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = answers(monkeypatch, '{"Size": "1"}\n{"Size": "2"}\n')
    assert docker.history(CLIENT, "a:1") == [{"Size": "1"}, {"Size": "2"}]
    assert [command[:2] for command in commands] == [("docker", "history")]


def test_an_image_is_described_by_docker_image_inspect(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"Os": "linux", "Config": {"Labels": None}}
    commands = answers(monkeypatch, json.dumps([facts]))
    assert docker.image(CLIENT, "a:1", timeout=1) == facts
    assert commands == [("docker", "image", "inspect", "a:1")]


@pytest.mark.parametrize(
    "answer",
    [
        *("", "[]", "7", "[" * 100_000, '[{"Config": [1]}]', '[{"Config": {"Labels": "x"}}]'),
        *('[{"Config": "x"}]', '[{"RootFS": [1]}]'),
    ],
)
def test_an_answer_that_is_not_an_image_is_one_line(
    answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, answer)
    with pytest.raises(EngineError, match=r"^a:1: the engine's answer is not a description"):
        docker.image(CLIENT, "a:1", timeout=1)


def test_only_a_missing_image_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "[]", "Error response from daemon: No such image: a:1\n", 1)
    assert docker.image(CLIENT, "a:1", timeout=1) is None
    for words, reason in (
        (
            "x\nopen /nonexistent/ca.pem: no such file or directory\n",
            "open /nonexistent/ca.pem: no",
        ),
        ("", "docker ended with exit status 1"),
    ):
        answers(monkeypatch, "", words, 1)
        with pytest.raises(EngineError, match=f"^the engine cannot be used: {reason}"):
            docker.image(CLIENT, "a:1", timeout=1)


def test_a_node_is_reached_by_its_address_or_context() -> None:
    version = ("version", "--format", "{{.Server.Version}}")
    assert docker.version_command(CLIENT, "default") == ("docker", *version)
    assert docker.version_command(CLIENT, "ssh://x") == ("docker", "--host", "ssh://x", *version)
    assert docker.inspect_container_command(CLIENT, "arm", "c") == (
        *("docker", "--context", "arm", "container", "inspect", "c"),
    )
    assert docker.copy_command(CLIENT, "default", "c:/f", Path("/t")) == (
        *("docker", "cp", "c:/f", "/t"),
    )
