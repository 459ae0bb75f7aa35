from __future__ import annotations

import itertools
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from targets import target

from build_tasks import process
from build_tasks.errors import Interrupted, UsageError, VerificationError
from build_tasks.process import Command, Completed
from build_tasks.verify import suite
from build_tasks.verify.container import Containers
from build_tasks.verify.plugin import TARGET, Plugin, Result


class Pytest:
    """Stands in for pytest.main: ends as told, with results or a stop as its plugins see them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ended: object = pytest.ExitCode.OK
        self.stopped: list[BaseException] = []
        self.arguments: list[str] = []
        self.theirs: str | None = ""
        monkeypatch.setattr(pytest, "main", self)

    def __call__(self, arguments: list[str], plugins: list[Plugin]) -> object:
        self.arguments, self.theirs = arguments, os.environ.get("PYTEST_ADDOPTS")
        print("what pytest says")
        plugins[0].results.append(Result("test_x", "passed", 0.5))
        plugins[0].stopped.extend(self.stopped)
        return self.ended


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Pytest:
    return Pytest(monkeypatch)


def verify(tmp_path: Path, *, quiet: bool = False, select: str = "") -> list[dict[str, object]]:
    one = target(folder=tmp_path / "deep" / "folder")
    return suite.verify(one, junit=tmp_path / "x.xml", quiet=quiet, select=select)


def test_results_are_plain_data(tmp_path: Path, fake: Pytest) -> None:
    assert verify(tmp_path) == [
        {"check": "test_x", "outcome": "passed", "seconds": 0.5, "message": ""}
    ]
    assert f"--junit-xml={tmp_path / 'x.xml'}" in fake.arguments
    assert "-k" not in fake.arguments
    assert (tmp_path / "deep" / "folder").is_dir()
    verify(tmp_path, select="a or b")
    assert fake.arguments[fake.arguments.index("-k") + 1] == "a or b"


@pytest.mark.parametrize(("quiet", "said"), [(False, "what pytest says\n"), (True, "")])
def test_quiet_leaves_stdout_to_the_results(
    tmp_path: Path, fake: Pytest, capsys: pytest.CaptureFixture[str], quiet: bool, said: str
) -> None:
    verify(tmp_path, quiet=quiet)
    assert capsys.readouterr().out == said


@pytest.mark.parametrize("theirs", [None, "--nonsense"])
def test_options_of_the_users_own_tests_stay_out_and_stay(
    tmp_path: Path, fake: Pytest, monkeypatch: pytest.MonkeyPatch, theirs: str | None
) -> None:
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    if theirs:
        monkeypatch.setenv("PYTEST_ADDOPTS", theirs)
    verify(tmp_path)
    assert fake.theirs is None
    assert os.environ.get("PYTEST_ADDOPTS") == theirs


def test_failed_checks_are_results_and_no_error(tmp_path: Path, fake: Pytest) -> None:
    fake.ended = pytest.ExitCode.TESTS_FAILED
    assert len(verify(tmp_path)) == 1


def test_a_stop_goes_on_as_what_it_was(tmp_path: Path, fake: Pytest) -> None:
    fake.ended = pytest.ExitCode.INTERRUPTED
    with pytest.raises(KeyboardInterrupt):
        verify(tmp_path)
    fake.stopped = [Interrupted(15)]
    with pytest.raises(Interrupted) as caught:
        verify(tmp_path)
    assert caught.value.exit_code == 143


@pytest.mark.parametrize("ended", [pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED])
def test_a_selection_of_nothing_is_the_users_mistake(
    tmp_path: Path, fake: Pytest, ended: pytest.ExitCode
) -> None:
    fake.ended = ended
    with pytest.raises(UsageError, match=r"^--select: 'x\(' selects no check$"):
        verify(tmp_path, select="x(")
    with pytest.raises(VerificationError, match=r"^i: no check ran"):
        verify(tmp_path)


def test_a_crash_of_pytest_is_no_good_image(tmp_path: Path, fake: Pytest) -> None:
    fake.ended = pytest.ExitCode.INTERNAL_ERROR
    with pytest.raises(VerificationError, match=r"^i: no check ran"):
        verify(tmp_path, select="x")


def test_a_report_is_a_file_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert suite.report(None) is None
    assert suite.report("new/r.xml") == tmp_path / "new" / "r.xml"
    assert (tmp_path / "new").is_dir()
    with pytest.raises(UsageError, match=r"^--junit: new: is a folder$"):
        suite.report("new")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"^--junit: file/x/r.xml: Not a directory$"):
        suite.report("file/x/r.xml")


def report(when: str, outcome: str, longrepr: object = None) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid="test_a.py::test_x[1::2]",
        location=("test_a.py", 1, "test_x"),
        keywords={},
        outcome=outcome,  # type: ignore[arg-type]  # one of its literals
        longrepr=longrepr,  # type: ignore[arg-type]  # what pytest's own reports have
        when=when,  # type: ignore[arg-type]  # one of its literals
        duration=0.12345,
    )


@pytest.mark.parametrize(
    ("when", "outcome", "longrepr", "message"),
    [
        ("call", "passed", None, ""),
        ("call", "failed", "why\nand how", "why\nand how"),
        ("call", "failed", SimpleNamespace(reprcrash=SimpleNamespace(message="Failed: w")), "w"),
        ("setup", "failed", SimpleNamespace(reprcrash=SimpleNamespace(message="KeyError")), "KeyE"),
        ("setup", "skipped", ("file", 1, "Skipped: no driver"), "no driver"),
        ("teardown", "failed", "x", "x"),
        ("call", "failed", None, ""),
    ],
)
def test_what_came_of_a_check_is_kept(
    when: str, outcome: str, longrepr: object, message: str
) -> None:
    plugin = Plugin(target())
    plugin.pytest_runtest_logreport(report(when, outcome, longrepr))
    (result,) = plugin.results
    assert (result.check, result.outcome, result.seconds) == ("test_x[1::2]", outcome, 0.123)
    assert result.message.startswith(message)
    assert bool(result.message) is bool(message)


def test_getting_ready_well_is_no_result() -> None:
    plugin = Plugin(target())
    for when in ("setup", "teardown"):
        plugin.pytest_runtest_logreport(report(when, "passed"))
    assert plugin.results == []


def test_the_checks_find_the_target(pytestconfig: pytest.Config) -> None:
    one = target()
    config = SimpleNamespace(stash=pytest.Stash())
    Plugin(one).pytest_configure(config)  # type: ignore[arg-type]  # all of a config that it uses
    assert config.stash[TARGET] is one


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[Command]:
    asked: list[Command] = []

    def run(command: Command, **_: object) -> Completed:
        asked.append(command)
        return Completed(command, 1 if "broken" in command else 0, "id1\n", "")

    monkeypatch.setattr(process, "run", run)
    return asked


OPTIONS = (
    *("--name", "airflow-images-t-0", "--label", "airflow-images.verify=t"),
    *("--platform", "linux/amd64"),
)


def containers(reference: str = "i") -> Containers:
    one = target()
    image = type(one.image)(reference, one.image.facts)
    return Containers(target(image=image), "t", itertools.count())


def test_a_container_runs_one_command_and_goes(commands: list[Command]) -> None:
    containers().run("bash", "-c", "x y", environment={"A": "1 2"}, options=("--user", "1:0"))
    assert commands == [
        (
            *("docker", "run", "--rm", *OPTIONS, "--env", "A=1 2", "--user", "1:0"),
            *("i", "bash", "-c", "x y"),
        )
    ]


def test_a_script_is_read_from_standard_input(commands: list[Command]) -> None:
    containers().python("print()")
    (command,) = commands
    assert command == (
        *("docker", "run", "--rm", "--interactive", *OPTIONS),
        *("--entrypoint", "python", "i", "-"),
    )


def test_files_are_taken_out_of_a_container_that_never_ran(commands: list[Command]) -> None:
    containers().export(Path("/f.tar"))
    assert commands == [
        ("docker", "create", *OPTIONS, "i", "true"),
        ("docker", "export", "--output", "/f.tar", "id1"),
    ]
    commands.clear()
    assert containers("broken").export(Path("/f.tar")).returncode == 1
    assert len(commands) == 1


def test_nothing_is_left(commands: list[Command], monkeypatch: pytest.MonkeyPatch) -> None:
    containers().clear()
    assert commands == [
        ("docker", "ps", "--all", "--quiet", "--filter", "label=airflow-images.verify=t"),
        ("docker", "rm", "--force", "--volumes", "id1"),
    ]
    monkeypatch.setattr(process, "run", lambda command, **_: Completed(command, 0, "", ""))
    containers().clear()


def test_two_verifications_do_not_share_a_name() -> None:
    one, two = Containers(target()), Containers(target())
    names = [each.options()[1] for each in (one, one, two, two)]
    assert len(set(names)) == 4
