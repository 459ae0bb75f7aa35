"""The display that an option and the terminal choose."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tasks.progress import choice


def test_the_option_and_the_terminal_choose_the_display(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chosen(progress: str = "auto", *, several: bool = True) -> str:
        return type(choice.display(progress, tmp_path, several=several)).__name__

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.delenv("BUILDKIT_PROGRESS", raising=False)
    assert chosen() == "Lines"
    assert chosen(several=False) == "StepLines"
    options = ("quiet", "rawjson", "tty", "plain")
    assert [chosen(option) for option in options] == ["Quiet", "Events", "LiveTable", "Lines"]
    one = [chosen(option, several=False) for option in options]
    assert one == ["Quiet", "Events", "BuildKitDisplay", "BuildKitDisplay"]
    monkeypatch.setenv("BUILDKIT_PROGRESS", "plain")
    assert chosen(several=False) == "BuildKitDisplay"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert chosen() == "GitHub"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert chosen() == "LiveTable"
    assert chosen(several=False) == "BuildKitDisplay"
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert chosen() == "Lines"
