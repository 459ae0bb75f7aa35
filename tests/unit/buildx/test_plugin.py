"""The plugin that docker would use, and its version, which is asked for once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from build_tasks import paths, process
from build_tasks.buildx import plugin
from build_tasks.errors import CommandError, EngineError, MissingProgram
from build_tasks.process import Command, Completed


class Plugin:
    """A plugin's file, and what it says of its version."""

    def __init__(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = file
        self.answer = "github.com/docker/buildx v0.29.1 abc"
        self.asked = 0
        file.parent.mkdir(parents=True)
        file.touch(0o755)
        monkeypatch.setattr(process, "run", self.run)

    def run(self, command: Command, **_: object) -> Completed:
        assert command == (str(self.file), "version")
        self.asked += 1
        return Completed(command, 0, self.answer, "")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plugin:
    return Plugin(tmp_path / "docker" / "cli-plugins" / "docker-buildx", monkeypatch)


def test_the_users_own_plugin_comes_first_and_one_on_the_path_last(
    installed: Plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin, "_FOLDERS", ())
    monkeypatch.setattr(shutil, "which", {"buildx": "/opt/buildx"}.get)
    config = tmp_path / "docker"
    assert plugin.find(config) == installed.file
    installed.file.chmod(0o644)
    assert plugin.find(config) == Path("/opt/buildx")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert plugin.find(config) is None


def test_a_version_is_kept_until_the_file_changes(installed: Plugin) -> None:
    assert [plugin.version(installed.file) for _ in range(2)] == [(0, 29, 1)] * 2
    assert installed.asked == 1
    installed.file.write_text("a newer one")
    installed.answer = "github.com/docker/buildx 0.30.0+ds1 abc"
    assert plugin.version(installed.file) == (0, 30, 0)
    assert installed.asked == 2


@pytest.mark.parametrize("kept", ["[1]", '{"FILE": []}', '{"FILE": ["x", null]}', "nonsense"])
def test_a_damaged_list_of_versions_is_renewed(installed: Plugin, kept: str) -> None:
    file = paths.cache_folder() / "buildx-version.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(kept.replace("FILE", str(installed.file)))
    assert plugin.version(installed.file) == (0, 29, 1)
    assert plugin.version(installed.file) == (0, 29, 1)
    assert installed.asked == 1


def test_an_old_plugin_is_one_line(installed: Plugin) -> None:
    installed.answer = "github.com/docker/buildx v0.12.1 abc"
    with pytest.raises(EngineError, match=r"^buildx 0\.12\.1 is too old: 0\.13 or newer is needed"):
        plugin.check(installed.file)


@pytest.mark.parametrize("answer", ["", "Docker version 28.5.2, build x"])
def test_what_is_no_buildx_is_one_line(installed: Plugin, answer: str) -> None:
    installed.answer = answer
    with pytest.raises(EngineError, match=r"does not say its version as buildx does$"):
        plugin.version(installed.file)


def test_a_plugin_that_fails_is_one_line(
    installed: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: Command, **_: object) -> Completed:
        raise CommandError(f"{command[0]}: exit status 1")

    monkeypatch.setattr(process, "run", fail)
    with pytest.raises(EngineError, match=r"is no working buildx: .*: exit status 1$"):
        plugin.version(installed.file)


def test_a_plugin_that_is_gone_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MissingProgram, match=r"^cannot start .*docker-buildx: No such file"):
        plugin.version(tmp_path / "docker-buildx")
