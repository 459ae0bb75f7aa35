from __future__ import annotations

import json

import pytest

from build_tasks.commands import caches
from build_tasks.config.options import Options
from build_tasks.errors import NetworkError
from build_tasks.storage import report
from build_tasks.storage.report import Report


@pytest.fixture
def partial(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report of two builders, of which one does not answer."""
    usage = Report({"builders": [{"bytes": 5}]}, [(("builder", "size"), [("own", "5 B")])])
    usage.notes.append("far does not answer")
    usage.error = NetworkError("far: timed out")
    monkeypatch.setattr(report, "report_usage", lambda *_, **__: usage)


@pytest.mark.usefixtures("partial")
def test_what_is_known_is_shown_before_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NetworkError):
        caches.show_usage(Options({}))
    shown = capsys.readouterr()
    assert [line.split() for line in shown.out.splitlines()] == [
        ["builder", "size"],
        ["own", "5", "B"],
    ]
    assert shown.err == "far does not answer\n"
    with pytest.raises(NetworkError):
        caches.show_usage(Options({"json": True}))
    assert json.loads(capsys.readouterr().out) == {"builders": [{"bytes": 5}]}
