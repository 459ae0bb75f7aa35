from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from build_tasks.commands import engine
from build_tasks.config.options import Options
from build_tasks.engine import lifecycle
from build_tasks.errors import UsageError


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """The arguments of starts and stops; there is nothing to stop."""
    given: list[dict[str, object]] = []

    def start(**arguments: object) -> SimpleNamespace:
        given.append(arguments)
        return SimpleNamespace(host="unix:///s", registry="127.0.0.1:5000")

    def stop(**arguments: object) -> list[str]:
        given.append(arguments)
        return []

    monkeypatch.setattr(lifecycle, "start", start)
    monkeypatch.setattr(lifecycle, "stop", stop)
    return given


def test_an_engine_starts_with_the_architectures_to_emulate(
    calls: list[dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    engine.start_engine(Options({"emulate": "arm64,linux/amd64"}))
    assert calls[0]["emulate"] == ["arm64", "amd64"]
    line = "the embedded engine runs: DOCKER_HOST=unix:///s, registry 127.0.0.1:5000\n"
    assert capsys.readouterr().err == line
    with pytest.raises(UsageError, match=r"^--emulate: unknown platform 'vax'"):
        engine.start_engine(Options({"emulate": "vax"}))


def test_stopping_nothing_says_so(
    calls: list[dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    engine.stop_engine(Options({"purge": True}))
    assert calls[0]["purge"] is True
    assert capsys.readouterr().err == "the embedded engine does not run\n"


def test_the_status_is_data(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = {"running": False, "left behind": ["dockerd (7)"]}
    monkeypatch.setattr(lifecycle, "status", lambda: status)
    engine.show_engine(Options({"json": True}))
    assert json.loads(capsys.readouterr().out) == status


@pytest.mark.parametrize("run", [engine.start_engine, engine.show_engine, engine.stop_engine])
def test_a_misspelt_variable_is_an_error(
    calls: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch, run: object
) -> None:
    monkeypatch.setenv("AIRFLOW_IMAGES_BULDER", "x")
    assert callable(run)
    with pytest.raises(UsageError, match=r"^unknown variable 'AIRFLOW_IMAGES_BULDER'"):
        run(Options({}))
    assert not calls
