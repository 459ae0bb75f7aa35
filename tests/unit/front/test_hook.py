from __future__ import annotations

import os
from pathlib import Path

import pytest

from build_tasks.commands import check
from build_tasks.config.options import Options
from build_tasks.errors import Interrupted, StaleError
from build_tasks.front import hook
from build_tasks.text.hints import FILE_VARIABLE


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    return tmp_path


def checking(monkeypatch: pytest.MonkeyPatch, error: BaseException | None = None) -> list[Options]:
    """Let the check raise an error, and return the options that it gets."""
    given: list[Options] = []

    def check_image(options: Options) -> None:
        given.append(options)
        if error:
            raise error

    monkeypatch.setattr(check, "check_image", check_image)
    return given


def test_a_settings_file_can_be_named(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(FILE_VARIABLE, "")
    given = checking(monkeypatch)
    assert hook.main(["--file", "docker/images.toml", "--kind", "ci"]) == 0
    assert given == [Options({"kind": "ci"})]
    assert os.environ[FILE_VARIABLE] == str(repository / "docker/images.toml")
    assert hook.main(["--file"]) == 0
    assert capsys.readouterr().err == "airflow-images-check: --file: needs a value\n"


@pytest.mark.parametrize(("words", "code"), [((), 0), (("--fail",), 13)])
def test_a_commit_passes_unless_it_may_fail(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    code: int,
) -> None:
    checking(monkeypatch, StaleError("out of date: ci-3.11-amd64"))
    assert hook.main(words) == code
    assert capsys.readouterr().err == "airflow-images-check: out of date: ci-3.11-amd64\n"


def test_a_wrong_option_and_a_signal_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hook.main(["--fial"]) == 0
    assert capsys.readouterr().err.startswith("airflow-images-check: unknown option '--fial': did")
    checking(monkeypatch, Interrupted(15))
    assert hook.main([]) == 143
    assert capsys.readouterr().err == "airflow-images-check: stopped by SIGTERM\n"
