"""The files that git lists, with given answers of git; the real git is tried with front ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tasks.errors import CommandError, MissingProgram
from build_tasks.inputs import dockerignore, git
from build_tasks.inputs.dockerignore import Patterns
from build_tasks.inputs.git_files import Listing

#: What git answers about a repository: tracked, untracked and ignored files.
Answers = dict[str, tuple[list[str], list[str], list[str]]]


def listing(excluded: str = "", untracked: str = "", ignored: str = "") -> Listing:
    return Listing(
        dockerignore.parse([excluded]),
        dockerignore.parse([untracked]),
        dockerignore.parse([ignored]),
    )


def answer(monkeypatch: pytest.MonkeyPatch, answers: Answers) -> None:
    """Let git answer by the names of folders."""

    def ask(folder: Path, *arguments: str) -> str:
        tracked, untracked, ignored = answers[folder.name]
        lines = tracked if "--stage" in arguments else untracked
        lines = ignored if "--ignored" in arguments else lines
        return "".join(f"{line}\0" for line in lines)

    monkeypatch.setattr(git, "ask", ask)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def test_modes_are_those_of_git_and_the_files_for_others(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracked = ["100644 1 0\ta", "100755 2 0\tb/run", "120000 3 0\tlink", "100644 4 0\tsecret"]
    answer(monkeypatch, {"root": (tracked, ["new", "other", "secret2"], ["built"])})
    found = listing("secret*", "new", "built")
    found.ask_git(root)
    assert found.files == {"a": False, "b/run": True, "link": False, "new": None, "built": None}
    assert found.left_out == ["other"]


def test_ignored_files_are_asked_for_only_if_some_may_enter(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, {"root": ([], [], ["built"])})
    found = listing()
    found.ask_git(root)
    assert (found.files, found.left_out) == ({}, [])


def test_repositories_inside_are_listed_with_their_paths(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("lib", "own", "foreign"):
        (root / name / ".git").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "excluded").mkdir()
    submodules = [f"160000 1 0\t{name}" for name in ("lib", "empty", "gone", "excluded")]
    answers: Answers = {
        "root": (submodules, ["own/", "foreign/"], []),
        "lib": (["100644 1 0\tone"], ["stray"], []),
        "own": (["100755 1 0\ttwo"], [], []),
    }
    answer(monkeypatch, answers)
    found = listing("excluded", "own")
    found.ask_git(root)
    assert found.files == {"lib/one": False, "own/two": True}
    assert found.left_out == ["foreign/", "lib/stray"]
    assert found.unfetched == ["empty"]


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (git.NoRepositoryError("not a git repository"), ""),
        (CommandError("index file corrupt"), "index file corrupt"),
        (MissingProgram("git"), "git is not installed"),
    ],
)
def test_a_failure_of_git_leaves_nothing_but_its_reason(
    root: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, problem: str
) -> None:
    (root / ".git").mkdir()
    (root / "lib" / ".git").mkdir(parents=True)

    def ask(folder: Path, *arguments: str) -> str:
        if folder.name == "lib":
            raise error
        return "160000 1 0\tlib\x00100644 2 0\ta\0" if "--stage" in arguments else ""

    monkeypatch.setattr(git, "ask", ask)
    found = listing()
    found.ask_git(root)
    assert found.problem == problem
    assert not found.unfetched
    assert found.left_out == []


def test_without_git_all_but_repositories_and_excluded_files_enter(root: Path) -> None:
    for name in (".git/config", "a/.git/config", "a/b", "tmp/x", "c", "d.log"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "folder").symlink_to("a")
    found = Listing(dockerignore.parse(["tmp", "*.log"]), Patterns(), Patterns())
    found.add_all(str(root))
    assert found.files == dict.fromkeys(("a/b", "c", "folder"))
