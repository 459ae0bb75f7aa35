from __future__ import annotations

import json
import os
import platform
import shutil
import socket
from pathlib import Path

import pytest

from build_tasks import process
from build_tasks.buildx import toolchain
from build_tasks.buildx.toolchain import Client
from build_tasks.engine import packages, state
from build_tasks.engine.folders import engine_folders
from build_tasks.engine.state import EngineState
from build_tasks.errors import EngineError, MissingProgram
from build_tasks.model.matrix import Platform
from build_tasks.process import Command, Completed


def answers(
    monkeypatch: pytest.MonkeyPatch, stdout: str, stderr: str = "", code: int = 0
) -> list[Command]:
    asked: list[Command] = []

    def run(command: Command, **_: object) -> Completed:
        asked.append(command)
        return Completed(command, code, stdout, stderr)

    monkeypatch.setattr(process, "run", run)
    return asked


def a_client(**environment: str) -> Client:
    return Client("docker", ("docker-buildx",), environment)


def test_an_engine_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    store = [["driver-type", "io.containerd.snapshotter.v1"]]
    asked = answers(
        monkeypatch,
        json.dumps({"ServerVersion": "28", "Architecture": "aarch64", "DriverStatus": store}),
    )
    one = a_client(DOCKER_HOST="ssh://build@machine")
    assert one.containerd_store
    assert one.native is Platform.ARM64
    assert asked == [("docker", "info", "--format", "{{json .}}")]


def test_a_plugin_that_is_gone_is_one_line(tmp_path: Path) -> None:
    gone = Client("docker", (str(tmp_path / "docker-buildx"),), {})
    with pytest.raises(MissingProgram, match=r"cannot start .*docker-buildx: No such file"):
        _ = gone.version


@pytest.mark.parametrize(
    ("cores", "others", "share"), [(2, 7, "1"), (32, 7, "4"), (None, 1, "1"), (8, 0, "8")]
)
def test_builds_at_once_share_the_cores(
    cores: int | None, others: int, share: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.delenv("GOMAXPROCS", raising=False)
    assert a_client(A="1").beside(others).environment == {"A": "1", "GOMAXPROCS": share}
    monkeypatch.setenv("GOMAXPROCS", "3")
    assert a_client(A="1").beside(others).environment == {"A": "1"}


def test_the_classic_store_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, json.dumps({"ServerVersion": "28", "DriverStatus": [["Backing", "x"]]}))
    assert not a_client().containerd_store


@pytest.mark.parametrize(
    ("stdout", "stderr", "reason"),
    [
        ("", "\nCannot connect to the Docker daemon\n", "Cannot connect to the Docker daemon"),
        ('{"ServerErrors": ["permission denied"]}', "", "permission denied"),
        ("{}", "", "no answer"),
        ("[1, 2]", "", "no answer"),
        ("[" * 100_000, "", "no answer"),
    ],
)
def test_an_engine_that_does_not_answer_is_one_line(
    monkeypatch: pytest.MonkeyPatch, stdout: str, stderr: str, reason: str
) -> None:
    answers(monkeypatch, stdout, stderr, 1)
    with pytest.raises(EngineError, match=f"^the engine cannot be used: {reason}$"):
        _ = a_client().facts


def test_a_local_engine_runs_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "never asked")
    here = Platform.parse(platform.machine(), "here")
    assert a_client(DOCKER_HOST="unix:///run/x.sock").native is here


def test_a_chosen_context_is_the_users_engine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert toolchain._context() == ""
    for odd in ("[]", '{"currentContext": 5}', "[" * 100_000, "nonsense"):
        (tmp_path / "config.json").write_text(odd)
        assert toolchain._context() == ""
    (tmp_path / "config.json").write_text('{"currentContext": "remote"}')
    assert toolchain._context() == "remote"
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert toolchain._context() == ""


def test_the_address_of_the_embedded_engine_means_that_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What `engine.status` prints may be exported: bases and registry stay the engine's own."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{engine_folders().socket}")
    assert not toolchain._docker_engine()
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/other.sock")
    assert toolchain._docker_engine()


def test_what_leads_to_another_engine_is_blanked_for_the_embedded_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CONTEXT", "colima")
    running = EngineState("trixie", "127.0.0.1:5000", hub=False, daemons={})
    environment = state.describe(engine_folders(), running).environment
    assert environment == {
        "BUILDX_BUILDER": "default",
        "BUILDX_CONFIG": str(engine_folders().home.with_name("buildx")),
        "DOCKER_CONFIG": str(engine_folders().home / "private/docker"),
        "DOCKER_CONTEXT": "",
        "DOCKER_HOST": f"unix://{engine_folders().socket}",
        "DOCKER_TLS_VERIFY": "",
    }


def test_docker_host_beats_a_context(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONTEXT", "colima")
    assert toolchain._context() == "colima"
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/x.sock")
    assert toolchain._context() == ""
    both = a_client(DOCKER_CONTEXT="colima", DOCKER_HOST="unix:///run/x.sock")
    assert (both.context, both.builder("default")) == ("", "default")


def test_an_engines_own_builder_has_the_contexts_name() -> None:
    here = a_client(DOCKER_CONTEXT="a+b")
    assert here.with_builder("default") == ("--builder", "a+b")
    assert here.with_builder("mine") == ("--builder", "mine")
    assert a_client().with_builder("default") == ("--builder", "default")
    assert (here.owns("a+b"), here.owns("other")) == (True, False)
    assert here.socket is None  # only docker knows where it is


def test_a_socket_that_nobody_listens_on_is_no_engine(tmp_path: Path) -> None:
    assert not toolchain._listens(f"unix://{tmp_path}/none.sock")


def test_an_engine_that_runs_here_is_left_in_charge(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Never a second engine where Docker listens, whether its CLI is there or not."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr(toolchain, "DEFAULT_SOCKET", f"unix://{tmp_path}/docker.sock")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{tmp_path}/docker.sock")
        server.listen()
        with pytest.raises(MissingProgram, match="docker is not installed: install Docker"):
            toolchain.find("auto", start=True, announce=print)


@pytest.mark.parametrize("choice", ["auto", "embedded"])
def test_a_machine_without_any_engine_is_told_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, choice: str
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr(toolchain, "DEFAULT_SOCKET", f"unix://{tmp_path}/docker.sock")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(EngineError, match="the embedded engine needs root: become root, or "):
        toolchain.find(choice, start=True, announce=print)
    monkeypatch.setattr(packages, "check_supported", lambda: None)
    with pytest.raises(
        EngineError, match=r"does not run: start it with: airflow-images engine\.start"
    ):
        toolchain.find(choice, start=False, announce=print)
