from __future__ import annotations

import json
import os
from pathlib import Path

import engines
import pytest

from build_tasks.engine import credentials, state
from build_tasks.engine.folders import Folders, engine_folders
from build_tasks.engine.processes import Process
from build_tasks.engine.state import EngineState
from build_tasks.process import locks

ENGINE = engines.make()
RECORD: dict[str, object] = {
    "schema": 2,
    "release": "unstable",
    "registry": "x:1",
    "hub": False,
    "daemons": {"dockerd": {"pid": 1, "started": 2, "colour": "red"}},
}


def test_a_record_is_read_as_it_was_written(folders: Folders) -> None:
    assert state.read(folders) is None
    record = EngineState("unstable", "127.0.0.1:5000", True, {"dockerd": Process(1, 2)}, ("arm64",))
    state.clear(folders)
    state.write(folders, record)
    assert state.read(folders) == record
    state.clear(folders)
    assert state.read(folders) is None


def test_the_record_of_a_newer_version_is_read(folders: Folders) -> None:
    folders.run.mkdir(parents=True)
    text = json.dumps({**RECORD, "schema": 99, "colour": "red"})
    (folders.run / "running.json").write_text(text)
    assert state.read(folders) == EngineState("unstable", "x:1", False, {"dockerd": Process(1, 2)})


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        "[" * 100_000,
        json.dumps({**RECORD, "schema": 1}),
        json.dumps({**RECORD, "daemons": None}),
        json.dumps({**RECORD, "daemons": {"dockerd": 1}}),
        json.dumps({**RECORD, "daemons": {"dockerd": {"pid": "x", "started": 1}}}),
        json.dumps({**RECORD, "foreign": 1}),
    ],
)
def test_a_file_that_is_no_record_counts_as_none(folders: Folders, text: str) -> None:
    folders.run.mkdir(parents=True)
    (folders.run / "running.json").write_text(text)
    assert state.read(folders) is None


def test_an_engine_runs_only_when_both_daemons_do() -> None:
    own = Process.of(os.getpid())
    ended = Process(own.pid, own.started + 1)
    assert not EngineState("unstable", "x:1", False, {}).complete
    assert not EngineState("unstable", "x:1", False, {"dockerd": own}).complete
    assert not EngineState("unstable", "x:1", False, {"dockerd": own, "registry": ended}).complete
    assert EngineState("unstable", "x:1", False, {"dockerd": own, "registry": own}).complete


def test_a_running_engine_is_described(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "engine_folders", lambda: folders)
    bundle = folders.run / "bundle"
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert state.running() is None
    own = Process.of(os.getpid())
    state.write(folders, EngineState("trixie", "x:1", False, {"dockerd": own, "registry": own}))
    engine = state.running()
    assert engine
    assert engine.docker == folders.packages("trixie") / "usr/bin/docker"
    assert (engine.registry, engine.ca_bundle) == ("x:1", None)
    bundle.touch()
    engine = state.running()
    assert engine
    assert engine.ca_bundle == bundle


def test_settings_last(folders: Folders) -> None:
    assert state.saved_setting(folders, "port") == ""
    assert state.save_setting(folders, "port", "5000") == "5000"
    state.save_setting(folders, "network", "10.0.0.0/24")
    assert state.saved_setting(folders, "port") == "5000"


def test_who_starts_an_engine_that_does_not_run_yet_is_named() -> None:
    assert state.why_not_running().endswith("start it with: airflow-images engine.start")
    with locks.hold(engine_folders().lock, "starts the embedded engine", print):
        message = f"does not run yet: process {os.getpid()} is starting or stopping it"
        assert state.why_not_running().endswith(message)


def test_clients_use_the_engines_own_builder_and_configuration() -> None:
    assert ENGINE.environment == {
        "BUILDX_BUILDER": "default",
        "BUILDX_CONFIG": str(engine_folders().home.with_name("buildx")),
        "DOCKER_CONFIG": str(engine_folders().home / "private/docker"),
        "DOCKER_HOST": "unix:///s",
    }


def test_a_client_shares_the_registrys_lock_and_gets_its_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    state.attach(ENGINE, print)
    with locks.alone(engine_folders().registry_lock, 0, "waits", print) as free:
        assert free
    config = json.loads((engine_folders().docker_config / "config.json").read_text())
    assert ENGINE.registry in config["auths"]
    assert credentials.authorization(engine_folders()) == ""


def test_a_long_log_loses_its_beginning_and_its_writer_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "LOG_BYTES", 400)
    log = tmp_path / "dockerd.log"
    state.trim(log)
    with log.open("ab", buffering=0) as writer:
        writer.write(b"a line\n" * 50)
        state.trim(log)
        assert log.stat().st_size == 350
        writer.write(b"a line\n" * 50)
        state.trim(log)
        writer.write(b"the end\n")
    lines = log.read_text().splitlines()
    assert len(lines) < 20
    assert {*lines} == {"a line", "the end"}
