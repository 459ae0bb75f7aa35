from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from build_tasks import process
from build_tasks.engine.folders import Folders
from build_tasks.errors import CommandError
from build_tasks.process import Command, Completed

#: The commands that ran.
Commands = list[Command]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    """The folders of an engine that leaves nothing in /run."""
    monkeypatch.setattr("build_tasks.engine.folders.RUN", tmp_path)
    return Folders(tmp_path / "engine")


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Commands]:
    """Give programs an exit status and outputs, by name; all others succeed in silence."""

    def replace(**answers: tuple[int, str, str]) -> Commands:
        commands: Commands = []

        def run(command: Command, *, check: bool = True, **_: object) -> Completed:
            commands.append(command)
            name = Path(command[0]).name.replace("-", "_")
            code, stdout, stderr = answers.get(name, (0, "", ""))
            if code and check:
                raise CommandError(f"{command[0]}: {stderr}")
            return Completed(command, code, stdout, stderr)

        monkeypatch.setattr(process, "run", run)
        return commands

    return replace
