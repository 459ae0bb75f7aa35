from __future__ import annotations

import json
import re
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path

import engines
import pytest

from build_tasks import process
from build_tasks.engine import apt, processes, registry, stand_ins
from build_tasks.engine.folders import engine_folders
from build_tasks.errors import EngineError
from build_tasks.process import Command, Completed, heartbeat

ENGINE = engines.make(
    docker=Path("docker"),
    buildx=Path("docker-buildx"),
    host="unix:///x",
    registry="127.0.0.1:1",
    release="unstable",
)
SCRIPTS = Path(stand_ins.__file__).with_name("dockerfiles") / "buildkit"
Stream = Callable[..., Completed]


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with a mirror, on which nothing runs."""
    monkeypatch.setattr(apt, "mirror", lambda: "http://mirror/")
    monkeypatch.setattr(processes, "_PROC", tmp_path)


def bootstrap(monkeypatch: pytest.MonkeyPatch, *stderr: str) -> list[Command]:
    """Let mmdebstrap fail with each of these errors in turn, and then succeed."""
    commands: list[Command] = []
    failures = [*stderr]

    def stream(command: Command, *, line: Callable[[str], None], **_: object) -> Completed:
        commands.append(command)
        Path(next(word for word in command if word.endswith(".tar"))).touch()
        text = failures.pop(0) if failures else ""
        for text_line in text.splitlines():
            line(text_line)
        return Completed(command, 1 if text else 0, "", text)

    monkeypatch.setattr(process, "stream", stream)
    return commands


def test_only_pythons_that_debian_released_have_a_stand_in() -> None:
    assert stand_ins.python_reference(ENGINE, "3.9") == "127.0.0.1:1/debian-python:3.9"
    with pytest.raises(EngineError, match=r"no base image for Python 3\.10: .* 3\.9, 3\.11, 3\.13"):
        stand_ins.python_reference(ENGINE, "3.10")


def test_an_index_without_a_wanted_platform_is_incomplete(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect once found: the tag stood for amd64 alone, and arm64 was never added to it."""
    digests = {"x:1": "sha256:index", "x:1-amd64": "sha256:a", "x:1-arm64": "sha256:b"}
    text = {"x:1": '{"digest": "sha256:a"}', "x:1-amd64": "{}", "x:1-arm64": "{}"}
    monkeypatch.setattr(registry, "digest", lambda name: digests.get(name, ""))
    monkeypatch.setattr(registry, "manifest", lambda name: text.get(name, ""))
    assert stand_ins._is_complete("x:1", ["x:1-amd64"])
    assert not stand_ins._is_complete("x:1", ["x:1-amd64", "x:1-arm64"])
    assert not stand_ins._is_complete("x:2", ["x:1-amd64"])
    assert not stand_ins._is_complete("x:1", ["x:1-other"])


def test_a_base_is_built_pushed_and_added_to_the_index(
    monkeypatch: pytest.MonkeyPatch, programs: Callable[..., list[Command]]
) -> None:
    expired = "E: Release file is expired\n"
    bootstraps = bootstrap(monkeypatch, expired, expired)
    commands = programs()
    name = stand_ins.ensure_python(ENGINE, "3.9", ["amd64"], print)
    assert name == "127.0.0.1:1/debian-python:3.9"
    target = str(engine_folders().home / "bases/3.9/rootfs.tar")
    assert bootstraps[0][0] == "mmdebstrap"
    assert "--architectures=amd64" in bootstraps[0]
    assert [command[-2:] for command in bootstraps] == [
        ("bullseye", target),
        (target, "http://mirror/"),
        ("bullseye", target),
    ]
    unchecked = '--aptopt=Acquire::Check-Valid-Until "false"'
    assert [unchecked in command for command in bootstraps] == [False, False, True]
    build, index = commands
    assert build[:2] == ("docker-buildx", "build")
    assert "PYTHON=3.9" in build
    assert "SUITE=bullseye" in build
    assert f"type=image,name={name}-amd64,push=true," in " ".join(build)
    assert index == ("docker-buildx", "imagetools", "create", "--tag", name)
    assert not (engine_folders().home / "bases/3.9").exists()


def test_only_missing_platforms_are_built(
    monkeypatch: pytest.MonkeyPatch, programs: Callable[..., list[Command]]
) -> None:
    bootstraps = bootstrap(monkeypatch)
    commands = programs()
    monkeypatch.setattr(registry, "holds", lambda name: name.endswith("-amd64"))
    name = stand_ins.ensure_python(ENGINE, "3.9", ["amd64", "arm64"], print)
    assert ["--architectures=arm64" in command for command in bootstraps] == [True]
    index = ("docker-buildx", "imagetools", "create", "--tag", name, f"{name}-amd64")
    assert commands[-1] == index


def test_a_base_that_is_there_is_not_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stand_ins, "_is_complete", lambda *_: True)
    assert stand_ins.ensure_python(ENGINE, "3.9", ["amd64"], pytest.fail).endswith(":3.9")
    checks = iter([False, True])  # another process builds it meanwhile
    monkeypatch.setattr(stand_ins, "_is_complete", lambda *_: next(checks))
    assert stand_ins.ensure_python(ENGINE, "3.9", ["amd64"], pytest.fail).endswith(":3.9")


@pytest.mark.parametrize(
    "stderr", ["I: x\nE: no such suite\nI: y\n", "nothing\n", "E: no: is expired\n"]
)
def test_a_failed_bootstrap_is_one_line(monkeypatch: pytest.MonkeyPatch, stderr: str) -> None:
    bootstrap(monkeypatch, *[stderr] * 4)
    with pytest.raises(EngineError, match=r"cannot build \S+ from Debian bullseye: (E: no|mmdeb)"):
        stand_ins.ensure_python(ENGINE, "3.9", ["amd64"], print)


def test_a_failed_build_is_one_line(
    monkeypatch: pytest.MonkeyPatch, programs: Callable[..., list[Command]]
) -> None:
    bootstrap(monkeypatch)
    programs(docker_buildx=(1, "", "no space"))
    with pytest.raises(EngineError, match=r"cannot build \S+-amd64: docker-buildx: no space"):
        stand_ins.ensure_python(ENGINE, "3.9", ["amd64"], print)


def test_progress_of_a_bootstrap_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[str] = []

    def stream(command: Command, *, line: Callable[[str], None], **_: object) -> Completed:
        line("I: downloading packages with apt...")
        line("P: another line")
        deadline = time.monotonic() + 10
        while "downloading" not in messages[-1] and time.monotonic() < deadline:
            time.sleep(0.01)
        return Completed(command, 1, "", "E: failed")

    monkeypatch.setattr(heartbeat, "INTERVAL", 0.01)
    monkeypatch.setattr(process, "stream", stream)
    with pytest.raises(EngineError):
        stand_ins.ensure_python(ENGINE, "3.9", ["amd64"], messages.append)
    assert (
        messages[0]
        == "building 127.0.0.1:1/debian-python:3.9-amd64 from Debian bullseye (only once)"
    )
    assert re.fullmatch(
        r"127\.0\.0\.1:1/debian-python:3\.9-amd64: downloading packages with apt, \d+ s so far",
        messages[-1],
    )


def test_buildkits_stand_in_is_built_once(
    monkeypatch: pytest.MonkeyPatch, programs: Callable[..., list[Command]]
) -> None:
    monkeypatch.setattr(stand_ins, "ensure_python", lambda *_: "base:1")
    name = stand_ins.buildkit_reference(ENGINE)
    assert re.fullmatch(r"127\.0\.0\.1:1/debian-buildkit:unstable-[0-9a-f]{8}", name)
    commands = programs()
    assert stand_ins.ensure_buildkit(ENGINE, print) == name
    build = commands[-1]
    assert "BASE=base:1" in build
    assert f"packages={engine_folders().packages('unstable')}" in build
    assert build[-1] == str(SCRIPTS)
    monkeypatch.setattr(registry, "holds", lambda reference: reference == name)
    assert stand_ins.ensure_buildkit(ENGINE, pytest.fail) == name
    answers = iter([False, True])  # another process builds it meanwhile
    monkeypatch.setattr(registry, "holds", lambda _: next(answers))
    assert stand_ins.ensure_buildkit(ENGINE, pytest.fail) == name


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        (None, {"insecure-registries": ["127.0.0.0/8"], "registry-mirrors": []}),
        (
            '[registry."docker.io"]\nmirrors = ["a:1", "b/path", "c"]\n'
            '[registry."a:1"]\nhttp = true\n[worker.oci]\nmaxUsedSpace = "1GB"\n',
            {
                "insecure-registries": ["127.0.0.0/8", "a:1"],
                "registry-mirrors": ["http://a:1", "https://c"],
                "builder": {"gc": {"enabled": True, "defaultMaxUsedSpace": "1GB"}},
            },
        ),
    ],
)
def test_the_stand_in_follows_buildkitd_toml(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    toml: str | None,
    expected: dict[str, object],
) -> None:
    file = tmp_path / "buildkitd.toml"
    file.write_text(toml or "")
    monkeypatch.setattr(sys, "argv", ["daemon-json", "afb-1", str(file) if toml else ""])
    runpy.run_path(str(SCRIPTS / "daemon-json"))
    configuration = json.loads(capsys.readouterr().out)
    assert configuration["bridge"] == "afb-1"
    assert expected.items() <= configuration.items()
