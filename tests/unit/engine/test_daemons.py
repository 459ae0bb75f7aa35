from __future__ import annotations

import http.server
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from build_tasks import process
from build_tasks.engine import credentials, daemons, processes, state
from build_tasks.engine.folders import Folders
from build_tasks.engine.processes import Process
from build_tasks.engine.state import EmbeddedEngine, EngineState
from build_tasks.errors import EngineError
from build_tasks.process import Command, docker_api

CONTAINERS = "/v1.44/containers/json"
USAGE = "/v1.44/system/df?type=build-cache"
IDLE: dict[str, object] = {CONTAINERS: [], USAGE: {"BuildCache": [{"InUse": False}]}}
HELD: dict[str, object] = {USAGE: {"BuildCache": [{"InUse": True}]}}
NOTHING_RUNS = (0, "Completed\nError\n", "")
Programs = Callable[..., list[Command]]


@pytest.fixture
def engine(folders: Folders) -> EmbeddedEngine:
    """An engine of these folders."""
    recorded = EngineState("unstable", "127.0.0.1:5000", hub=False, daemons={}, foreign=())
    return state.describe(folders, recorded)


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch, folders: Folders) -> list[Command]:
    """The daemons that were started; each writes a line to its log."""
    commands: list[Command] = []

    def spawn(command: Command, *, log: Path, **_: object) -> int:
        commands.append(command)
        log.write_text("starting\nno disk\n\n")
        return 4_194_304

    folders.home.mkdir()
    monkeypatch.setattr(process, "spawn", spawn)
    monkeypatch.setattr(credentials, "create", lambda _: Path("/passwords"))
    return commands


def test_dockerd_gets_a_configuration_of_its_own(
    spawned: list[Command], monkeypatch: pytest.MonkeyPatch, folders: Folders
) -> None:
    monkeypatch.setattr(docker_api, "get", lambda *_, **__: (200, None))
    state.save_setting(folders, "addresses", "172.29.16.0/20")
    root = folders.packages("unstable")
    daemons.start_dockerd(folders, root)
    file = folders.home / "daemon.json"
    assert spawned == [(f"{root}/usr/sbin/dockerd", "--config-file", str(file))]
    configuration = json.loads(file.read_text())
    assert configuration["default-address-pools"] == [{"base": "172.29.16.0/20", "size": 24}]
    assert configuration["userland-proxy"] is False
    assert configuration["hosts"] == [f"unix://{folders.socket}"]
    assert configuration["data-root"] == str(folders.home / "data")
    assert configuration["bridge"] == folders.bridge
    assert configuration["iptables"] is False
    (root / "usr/sbin").mkdir(parents=True)
    (root / "usr/sbin/docker-proxy").touch()
    daemons.start_dockerd(folders, root)
    assert json.loads(file.read_text())["userland-proxy"] is True


def test_a_daemon_that_does_not_start_is_ended_and_its_log_quoted(
    spawned: list[Command], monkeypatch: pytest.MonkeyPatch, folders: Folders
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError

    ended: list[Process] = []
    monkeypatch.setattr(processes, "terminate", ended.extend)
    monkeypatch.setattr(docker_api, "get", fail)
    message = f"^dockerd does not start: no disk .see {folders.home}/dockerd.log.$"
    with pytest.raises(EngineError, match=message):
        daemons.start_dockerd(folders, Path("/packages"))
    assert [process.pid for process in ended] == [4_194_304]


def test_a_daemon_that_runs_has_a_minute_to_answer(
    spawned: list[Command], monkeypatch: pytest.MonkeyPatch, folders: Folders
) -> None:
    statuses = iter([503, 503, 200, *[503] * 600])
    now = itertools.count(0.0, 10.0)
    ended: list[Process] = []
    monkeypatch.setattr(Process, "alive", True)
    monkeypatch.setattr(processes, "terminate", ended.extend)
    monkeypatch.setattr(docker_api, "get", lambda *_, **__: (next(statuses), None))
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    daemons.start_dockerd(folders, Path("/packages"))
    assert not ended
    with pytest.raises(EngineError, match=r"^dockerd does not start: no disk"):
        daemons.start_dockerd(folders, Path("/packages"))
    assert len(ended) == 1


class Handler(http.server.BaseHTTPRequestHandler):
    """A registry that accepts one password."""

    def do_GET(self) -> None:
        self.send_response(200 if self.headers["Authorization"] == "Basic own" else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_registry_is_ready_when_it_accepts_its_password(
    spawned: list[Command], monkeypatch: pytest.MonkeyPatch, folders: Folders, address: str
) -> None:
    monkeypatch.setattr(credentials, "authorization", lambda _: "Basic own")
    daemons.start_registry(folders, Path("/packages"), address)
    text = (folders.home / "registry.yml").read_text()
    assert f"addr: {address}\n" in text
    assert f"rootdirectory: {folders.home}/registry\n" in text
    assert "path: /passwords\n" in text
    with pytest.raises(EngineError, match=r"^registry does not start: no disk"):
        daemons.start_registry(folders, Path("/packages"), "127.0.0.1:1")


def test_another_engines_registry_on_the_port_is_not_taken_for_this_ones(
    spawned: list[Command], monkeypatch: pytest.MonkeyPatch, folders: Folders, address: str
) -> None:
    """A defect once found: the engine "ended at once", because its own registry had no port."""
    monkeypatch.setattr(credentials, "authorization", lambda _: "Basic other")
    with pytest.raises(EngineError, match=r"^registry does not start: no disk"):
        daemons.start_registry(folders, Path("/packages"), address)


@pytest.mark.parametrize(
    "case",
    [
        (
            {CONTAINERS: [{"Names": ["/b"]}, {"Names": ["/a"]}]},
            NOTHING_RUNS,
            "container a, container b",
        ),
        (HELD, (0, "Completed\nRunning\n", ""), "a build"),
        (HELD, (1, "", "unknown command"), "a build"),
    ],
)
def test_a_restart_waits_for_builds_and_containers(
    monkeypatch: pytest.MonkeyPatch,
    folders: Folders,
    engine: EmbeddedEngine,
    programs: Programs,
    case: tuple[dict[str, object], tuple[int, str, str], str],
) -> None:
    busy, history, names = case
    programs(docker_buildx=history)
    answers = {**IDLE, **busy}
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            answers.update(IDLE)

    monkeypatch.setattr(docker_api, "get", lambda _, path, **__: (200, answers[path]))
    monkeypatch.setattr(time, "sleep", sleep)
    messages: list[str] = []
    daemons.wait_until_idle(folders, engine, messages.append)
    assert len(waits) == 2
    assert messages == [f"waiting for the end of {names}: the engine has to restart"]


def test_records_that_a_failed_build_still_holds_are_no_build(
    monkeypatch: pytest.MonkeyPatch, folders: Folders, engine: EmbeddedEngine, programs: Programs
) -> None:
    """A defect once found: a restart waited an hour for a build that had lost its files."""
    commands = programs(docker_buildx=NOTHING_RUNS)
    monkeypatch.setattr(docker_api, "get", lambda _, path, **__: (200, {**IDLE, **HELD}[path]))
    daemons.wait_until_idle(folders, engine, pytest.fail)
    assert [command[1:] for command in commands] == [("history", "ls", "--format", "{{.Status}}")]


def test_a_restart_does_not_wait_forever(
    monkeypatch: pytest.MonkeyPatch, folders: Folders, engine: EmbeddedEngine
) -> None:
    monkeypatch.setattr(daemons, "PATIENCE", -1.0)
    monkeypatch.setattr(docker_api, "get", lambda *_, **__: (200, [{"Names": ["/a"]}]))
    with pytest.raises(EngineError, match="but container a did not end"):
        daemons.wait_until_idle(folders, engine, print)


def test_an_engine_that_does_not_answer_is_idle(tmp_path: Path, engine: EmbeddedEngine) -> None:
    daemons.wait_until_idle(Folders(tmp_path / "nothing"), engine, pytest.fail)
