from __future__ import annotations

import os
import sys

import pytest

from build_tasks.config.options import Options
from build_tasks.errors import UsageError
from build_tasks.front import console_command
from build_tasks.front.verbs import VERBS, Verb
from build_tasks.text.hints import FILE_VARIABLE


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["airflow-images", *words])
    try:
        console_command.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """The options of the verbs that run."""
    runs: list[Options] = []
    monkeypatch.setattr(Verb, "run", lambda _, options: runs.append(options))
    return runs


def test_tasks_run_with_their_options(
    monkeypatch: pytest.MonkeyPatch, given: list[Options]
) -> None:
    monkeypatch.setenv(FILE_VARIABLE, "")
    words = ("image.build", "--python", "3.11", "engine.stop", "--purge")
    assert run(monkeypatch, "--file=team.toml", *words) == 0
    assert given == [Options({"python": "3.11"}), Options({"purge": True})]
    assert os.environ[FILE_VARIABLE].endswith("/team.toml")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["image.bild"], "unknown task 'image.bild': did you mean image.build?"),
        (["zzz"], "unknown task 'zzz': airflow-images -l lists the valid ones"),
        (["--file"], "--file: needs a value"),
        (["--lits"], "unknown option '--lits': did you mean --list?"),
        (
            ["-x", "init"],
            "unknown option '-x': "
            "choose --file, --print-completion-script, --list, --version, --help",
        ),
        (["init", "--json"], "init: unknown option '--json': there are none"),
        (["engine.stop", "--purg"], "engine.stop: unknown option '--purg': did you mean --purge?"),
    ],
)
def test_a_mistake_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    line: str,
) -> None:
    assert run(monkeypatch, *words) == UsageError.exit_code
    assert capsys.readouterr().err == f"{line}\n"


@pytest.mark.parametrize("words", [[], ["--help"], ["--list"]])
def test_tasks_are_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert run(monkeypatch, *words) == 0
    out = capsys.readouterr().out
    assert not [name for name in VERBS if f"\n  {name} " not in f"\n{out}"]
    assert out.startswith("usage: airflow-images [--file FILE] TASK") is (words != ["--list"])


def test_the_version_and_the_help_of_a_task(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.startswith("airflow-images 0.")
    assert run(monkeypatch, "-h", "engine.stop") == 0
    assert capsys.readouterr().out.startswith("usage: airflow-images engine.stop [OPTIONS]")


@pytest.mark.parametrize("shell", console_command.SHELLS)
def test_the_completion_script_is_argcompletes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shell: str
) -> None:
    """Invoke has an option of the same name, which completes no values."""
    monkeypatch.setenv(FILE_VARIABLE, "")
    option = "--print-completion-script"
    for words in ((option, shell), (f"{option}={shell}",), ("--file", "x.toml", option, shell)):
        assert run(monkeypatch, *words) == 0
        assert "argcomplete" in capsys.readouterr().out.lower()


@pytest.mark.parametrize("shell", ["", "csh"])
def test_an_unknown_shell_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shell: str
) -> None:
    assert run(monkeypatch, "--print-completion-script", *([shell] if shell else [])) == 2
    line = f"--print-completion-script: unknown shell '{shell}': choose bash, zsh, fish\n"
    assert capsys.readouterr().err == line


def test_bytecode_is_kept(monkeypatch: pytest.MonkeyPatch, given: list[Options]) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    assert run(monkeypatch, "matrix") == 0
    assert given
    assert not sys.dont_write_bytecode
