from __future__ import annotations

import sys

import pytest
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from build_tasks.config.options import Options
from build_tasks.errors import UsageError
from build_tasks.front import invoke_tasks
from build_tasks.front.verbs import VERBS, Verb


@pytest.fixture(autouse=True)
def invoked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["invoke"])


def task_names(*words: str) -> set[str]:
    return {*invoke_tasks.namespace(words=words).task_names}


def test_all_tasks_exist_unless_the_command_line_names_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert task_names("--list") == {*VERBS}
    assert task_names("engine.stop", "--purge", "matrix", "--json") == {"engine.stop", "matrix"}
    monkeypatch.setattr(sys, "argv", ["/usr/bin/fab"])  # another program of Invoke's kind
    assert task_names("engine.stop") == {*VERBS}


def test_tasks_of_the_project_itself_are_among_them(capsys: pytest.CaptureFixture[str]) -> None:
    @task
    def send_all(_: Context) -> None:
        """Send."""

    for words in ([], ["send-all", "--now"], ["image.build", "--push", "send-all"]):
        known = invoke_tasks.namespace(send_all, words=words)
        assert {*known.task_names} == {"send-all", *VERBS}
    assert {*invoke_tasks.namespace(send_all, words=["matrix"]).task_names} == {
        *("send-all", "matrix")
    }
    with pytest.raises(SystemExit):
        invoke_tasks.namespace(send_all, words=["send-al"])
    assert capsys.readouterr().err == "unknown task 'send-al': did you mean send-all?\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["image.bild"], "unknown task 'image.bild': did you mean image.build?"),
        (["engine"], "'engine' is a group of tasks: choose engine.start, engine.status, "),
        (["matrix", "x"], "matrix: takes no argument 'x', and no task has that name"),
        (["engine.stop", "--purg"], "engine.stop: unknown option '--purg': did you mean --purge?"),
    ],
)
def test_a_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        invoke_tasks.namespace(words=words)
    assert caught.value.code == UsageError.exit_code
    assert capsys.readouterr().err.startswith(message)


def test_help_of_a_task_may_come_before_or_after_its_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = []
    for words in (["-h", "engine.stop"], ["engine.stop", "-h"]):
        with pytest.raises(SystemExit):
            invoke_tasks.namespace(words=words)
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert "usage: invoke engine.stop [OPTIONS]" in shown[0]


def test_former_names_are_aliases_and_a_missing_positional_argument_is_not_required() -> None:
    task = invoke_tasks.namespace(words=["image.verify", "--extras", "ftp"])["image.verify"]
    arguments = {argument.name: argument for argument in task.get_arguments()}
    assert "extras" in arguments["airflow-extras"].names
    assert {arguments[name].kind for name in ("slim", "prod-slim")} == {bool}
    assert not arguments["image"].positional
    task = invoke_tasks.namespace(words=["image.verify", "prod-3.11"])["image.verify"]
    assert {argument.name for argument in task.get_arguments() if argument.positional} == {"image"}


def test_an_error_ends_invoke_with_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise UsageError("why")

    monkeypatch.setattr(Verb, "run", fail)
    task = invoke_tasks.namespace(words=["matrix"])["matrix"]
    with pytest.raises(Exit, match="why") as caught:
        task(Context())
    assert caught.value.code == UsageError.exit_code


@pytest.mark.parametrize("before", [[], ["--echo"], ["own"]])
def test_a_command_reaches_its_task_word_by_word(
    monkeypatch: pytest.MonkeyPatch, before: list[str]
) -> None:
    """Invoke would join the words after `--`, also where it parses the command line itself."""

    @task
    def own(_: Context) -> None:
        """A task of the project."""

    given: list[Options] = []
    monkeypatch.setattr(Verb, "run", lambda _, options: given.append(options))
    words = ["image.run", "--python", "3.11", "--env", "A=1", "--", "pytest", "-k", "a and b"]
    run = invoke_tasks.namespace(own, words=[*before, *words])["image.run"]
    assert "command" not in {argument.name for argument in run.get_arguments()}
    run(Context(), python=["3.11"], env=["A=1"])
    command = ["pytest", "-k", "a and b"]
    assert given == [Options({"python": "3.11", "env": ["A=1"], "command": command})]


def test_a_command_without_two_hyphens_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        invoke_tasks.namespace(words=["image.run", "--python", "3.11", "pytest", "a b"])
    assert capsys.readouterr().err == "image.run: the command follows `--`: -- pytest 'a b'\n"
