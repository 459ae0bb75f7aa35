from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from targets import target

from build_tasks.errors import Interrupted, UsageError, VerificationError
from build_tasks.verify import suite
from build_tasks.verify.plugin import Plugin, Result


class Pytest:
    """Fake pytest.main: returns a status, after it told its plugins results or an interrupt."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.status: object = pytest.ExitCode.OK
        self.interrupts: list[BaseException] = []
        self.arguments: list[str] = []
        self.options: str | None = ""
        monkeypatch.setattr(pytest, "main", self)

    def __call__(self, arguments: list[str], plugins: list[Plugin]) -> object:
        self.arguments, self.options = arguments, os.environ.get("PYTEST_ADDOPTS")
        print("output of pytest")
        plugins[0].results.append(Result("test_x", "passed", 0.5))
        plugins[0].interrupts.extend(self.interrupts)
        return self.status


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Pytest:
    return Pytest(monkeypatch)


def verify(tmp_path: Path, *, quiet: bool = False, select: str = "") -> list[dict[str, object]]:
    image = target(folder=tmp_path / "deep" / "folder")
    junit = tmp_path / "x.xml"
    return suite.verify(image, announce=print, junit=junit, quiet=quiet, select=select)


def test_results_are_plain_data(tmp_path: Path, fake: Pytest) -> None:
    assert verify(tmp_path) == [
        {"check": "test_x", "outcome": "passed", "seconds": 0.5, "message": ""}
    ]
    assert f"--junit-xml={tmp_path / 'x.xml'}" in fake.arguments
    assert "-k" not in fake.arguments
    assert (tmp_path / "deep" / "folder").is_dir()
    verify(tmp_path, select="a or b")
    assert fake.arguments[fake.arguments.index("-k") + 1] == "a or b"


@pytest.mark.parametrize(("quiet", "said"), [(False, "output of pytest\n"), (True, "")])
def test_quiet_leaves_stdout_to_the_results(
    tmp_path: Path, fake: Pytest, capsys: pytest.CaptureFixture[str], quiet: bool, said: str
) -> None:
    verify(tmp_path, quiet=quiet)
    assert capsys.readouterr().out == said


@pytest.mark.parametrize("options", [None, "--nonsense"])
def test_the_users_pytest_options_are_hidden_and_kept(
    tmp_path: Path, fake: Pytest, monkeypatch: pytest.MonkeyPatch, options: str | None
) -> None:
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    if options:
        monkeypatch.setenv("PYTEST_ADDOPTS", options)
    verify(tmp_path)
    assert fake.options is None
    assert os.environ.get("PYTEST_ADDOPTS") == options


def test_failed_checks_are_results_and_no_error(tmp_path: Path, fake: Pytest) -> None:
    fake.status = pytest.ExitCode.TESTS_FAILED
    assert len(verify(tmp_path)) == 1


def test_an_interrupt_is_raised_again(tmp_path: Path, fake: Pytest) -> None:
    fake.status = pytest.ExitCode.INTERRUPTED
    with pytest.raises(KeyboardInterrupt):
        verify(tmp_path)
    fake.interrupts = [Interrupted(15)]
    with pytest.raises(Interrupted) as caught:
        verify(tmp_path)
    assert caught.value.exit_code == 143


@pytest.mark.parametrize("ended", [pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED])
def test_an_empty_selection_is_a_usage_error(
    tmp_path: Path, fake: Pytest, ended: pytest.ExitCode
) -> None:
    fake.status = ended
    with pytest.raises(UsageError, match=r"^--select: 'x\(' selects no check$"):
        verify(tmp_path, select="x(")
    with pytest.raises(VerificationError, match=r"^i: no check ran"):
        verify(tmp_path)


def test_a_crash_of_pytest_is_an_error(tmp_path: Path, fake: Pytest) -> None:
    fake.status = pytest.ExitCode.INTERNAL_ERROR
    with pytest.raises(VerificationError, match=r"^i: no check ran"):
        verify(tmp_path, select="x")


def test_the_junit_file_is_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert suite.junit_file(None) is None
    assert suite.junit_file("new/r.xml") == tmp_path / "new" / "r.xml"
    assert (tmp_path / "new").is_dir()
    with pytest.raises(UsageError, match=r"^--junit: new: is a folder$"):
        suite.junit_file("new")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"^--junit: file/x/r.xml: Not a directory$"):
        suite.junit_file("file/x/r.xml")


OWN = """
def test_own(image):
    assert image.reference == "i"

def test_wrong():
    assert 1 == 2
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of a project, beside checks of the suite."""
    checks = tmp_path / "shipped"
    checks.mkdir()
    (checks / "test_shipped.py").write_text("def test_labels(): pass\n")
    monkeypatch.setattr(suite, "CHECKS", checks)
    file = tmp_path / "project/checks/image.py"
    file.parent.mkdir(parents=True)
    file.write_text(OWN)
    return file


def run_own(own: Path, **options: Any) -> list[dict[str, Any]]:
    image = target(folder=own.parent / "folder", checks=(own,))
    return suite.verify(image, announce=print, **options)


def test_the_projects_checks_run_last_and_are_reported_like_the_others(
    own: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (own.parent / "conftest.py").write_text("raise SystemExit('is not read')\n")
    results = run_own(own, junit=tmp_path / "r.xml")
    outcomes = {result["check"]: result["outcome"] for result in results}
    assert outcomes == {"test_labels": "passed", "test_own": "passed", "test_wrong": "failed"}
    assert results[-1]["message"] == "assert 1 == 2"
    output = capsys.readouterr().out
    assert "\nchecks/image.py::test_wrong FAILED" in output
    assert "[2/2] checks/image: 2 checks" in output
    junit = (tmp_path / "r.xml").read_text()
    assert 'classname="checks.image" name="test_own"' in junit
    assert not [*own.parent.rglob("__pycache__")]
    assert not sys.dont_write_bytecode
    for select in ("wrong", "wrong and not project"):  # no folder above is a name
        (only,) = run_own(own, select=select)
        assert only["check"] == "test_wrong"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_module\n", "No module named 'no_such_module'"),
        ("x = 1\n", "has no check: expected functions named test_..."),
        ("def test_x(:\n", "invalid syntax"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        ("def test_x(nothing): pass\n", ""),
    ],
)
@pytest.mark.parametrize("select", ["", "labels"])
def test_a_file_of_checks_that_cannot_be_used_is_one_line(
    own: Path, text: str, message: str, select: str
) -> None:
    own.write_text(text)
    if not message:  # a fixture that is not there is a failed check
        assert [one["outcome"] for one in run_own(own)] == ["passed", "failed"]
        return
    with pytest.raises(UsageError) as caught:
        run_own(own, select=select)
    assert str(caught.value).startswith(f"{own}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders_above_the_checks_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = tmp_path / "packages" / "checks"
    checks.mkdir(parents=True)
    (tmp_path / "conftest.py").write_text("raise SystemExit('the conftest.py of a project')\n")
    (checks / "test_select.py").write_text("def test_labels(): pass\ndef test_packages(): pass\n")
    monkeypatch.setattr(suite, "CHECKS", checks)
    assert [result["check"] for result in verify(tmp_path, select="packages")] == ["test_packages"]
