"""Commits and runs, with given answers of git; the real git is tried with the front ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tasks.errors import CommandError, MissingProgram
from build_tasks.inputs import git
from build_tasks.model.labels import Revision
from build_tasks.plan import revision

SHA, DATE = "a" * 40, "2026-01-02T03:04:05+00:00"


def answer(monkeypatch: pytest.MonkeyPatch, output: str | Exception) -> None:
    def ask(_: Path, *arguments: str) -> str:
        if isinstance(output, Exception):
            raise output
        return output

    monkeypatch.setattr(git, "ask", ask)


def test_a_commit_has_a_hash_and_a_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for commit in (SHA, "b" * 64):
        answer(monkeypatch, f"commit {commit}\n{DATE}\n")
        assert revision.current(tmp_path, pytest.fail, "7") == Revision(commit, DATE, "7")


@pytest.mark.parametrize(
    ("output", "note"),
    [
        (git.NoRepositoryError("not a git repository"), ""),
        (CommandError("bad revision 'HEAD'"), ""),
        (CommandError("dubious ownership"), "dubious ownership"),
        (MissingProgram("git: not found"), ""),
        ("alias\n", "git answers 'alias\\n'"),
    ],
)
def test_why_there_is_no_commit_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str | Exception, note: str
) -> None:
    answer(monkeypatch, output)
    notes: list[str] = []
    assert revision.current(tmp_path, notes.append) == Revision()
    expected = f"warning: {tmp_path}: the commit is not known: {note}"
    assert notes == ([expected] if note else [])


def test_a_missing_git_is_announced_where_there_is_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    answer(monkeypatch, MissingProgram("git: not found"))
    notes: list[str] = []
    revision.current(tmp_path, notes.append)
    assert notes == [f"warning: {tmp_path}: the commit is not known: git: not found"]


def test_the_id_of_a_run_is_that_of_the_option_or_the_ci_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, f"commit {SHA}\n{DATE}\n")
    for name, value in reversed([*zip(revision.BUILD_ID_VARIABLES, "123", strict=True)]):
        monkeypatch.setenv(name, value)
        assert revision.current(tmp_path, pytest.fail).build_id == value
    assert revision.current(tmp_path, pytest.fail, "own").build_id == "own"


def test_a_branch_may_be_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "refs/heads/a/b\n")
    assert revision.branch(tmp_path) == "a/b"
    answer(monkeypatch, CommandError("detached"))
    assert revision.branch(tmp_path) == ""
