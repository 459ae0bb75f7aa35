from __future__ import annotations

import shutil
from pathlib import Path

import projects
import pytest

from build_tasks import process
from build_tasks.config import loading
from build_tasks.config.project import Project
from build_tasks.constraints import constraint_files
from build_tasks.constraints.resolver import Uv
from build_tasks.errors import DependencyError, NetworkError, UsageError
from build_tasks.process import Command, Completed

PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
GOOD = """\
# Made by `airflow-images constraints.generate`: Airflow 3.3.2 on Python 3.11.
apache-airflow==3.3.2
Zope.Interface==8.7
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "constraints" / "constraints-3.11.txt"
    path.parent.mkdir()
    path.write_text(GOOD)
    return path


@pytest.mark.parametrize("python", PYTHONS)
def test_files_of_the_project_are_valid(python: str) -> None:
    airflow = loading.load(environment={}).airflow_for(python)
    file = constraint_files.path(projects.OWN, python)
    constraint_files.check(file, python, airflow)
    pins = constraint_files.read(file)
    assert list(pins) == sorted(pins)
    wanted = constraint_files.requirements(loading.load(environment={}), python)
    assert {"pytest", "apache-airflow-providers-celery"} <= set(pins)
    assert wanted[0].endswith(f"]=={airflow}")


def test_names_are_normalized(file: Path) -> None:
    assert constraint_files.read(file) == {"apache-airflow": "3.3.2", "zope-interface": "8.7"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{GOOD}zope_interface==1\n", ":4: zope-interface is pinned twice"),
        (f"{GOOD}pytest>=8\n", ":4: expected a pin like name==1.2.3, got 'pytest>=8'"),
        (f"{GOOD}-r other.txt\n", ":4: expected a pin like name==1.2.3, got '-r other.txt'"),
        (
            "apache-airflow==3.3.2\n",
            ": no header with Airflow's version and Python: run: airflow-imag",
        ),
        (GOOD.replace("3.11.", "3.12."), ": is for Python 3.12, not 3.11: run: airflow-images"),
        (GOOD.replace("==3.3.2", "==3.3.1"), ": has Airflow 3.3.1, not 3.3.2: run: airflow-images"),
        (GOOD.replace("apache-airflow==3.3.2", ""), ": has Airflow no version, not 3.3.2: run: "),
    ],
)
def test_malformed_file_is_one_line_with_its_place(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        constraint_files.check(file, "3.11", "3.3.2")
    assert str(caught.value).startswith(f"constraints/constraints-3.11.txt{message}")


def test_a_file_of_the_package_is_named_as_such(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("build_tasks.config.project._PACKAGE", file.parents[1])
    with pytest.raises(UsageError, match=r"^the package's constraints/constraints-3\.11\.txt: has"):
        constraint_files.check(file, "3.11", "3.3.3")


def test_missing_file_is_one_line_with_the_command(file: Path) -> None:
    file.unlink()
    with pytest.raises(
        UsageError, match=r"not found: run: airflow-images constraints\.generate --python 3\.11$"
    ):
        constraint_files.check(file, "3.11", "3.3.2")
    file.mkdir()
    with pytest.raises(UsageError, match="cannot be read"):
        constraint_files.read(file)
    file.rmdir()
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read"):
        constraint_files.read(file)


def test_crlf_is_refused_and_a_byte_order_mark_is_not(file: Path) -> None:
    text = file.read_bytes()
    file.write_bytes(b"\xef\xbb\xbf" + text)
    constraint_files.check(file, "3.11", "3.3.2")
    file.write_bytes(text.replace(b"\n", b"\r\n"))
    with pytest.raises(UsageError, match=r"^constraints/.*: has Windows line endings \(CRLF\)"):
        constraint_files.check(file, "3.11", "3.3.2")


def test_changes_list_added_removed_and_changed_packages() -> None:
    before = {"a": "1", "b": "1", "c": "1"}
    after = {"a": "1", "b": "2", "d": "1"}
    changes = constraint_files.changes(before, after)
    assert [*map(str, changes)] == ["  b 1 -> 2", "- c 1", "+ d 1"]


class Resolver:
    """A fake uv that writes given answers and records its input."""

    def __init__(self, *answers: str, error: str = "") -> None:
        self.answers = list(answers)
        self.error = error
        self.kept: list[str] = []
        self.asked: list[str] = []
        self.limits: list[str] = []

    def __call__(self, command: Command, *, input: str, **_: object) -> Completed:
        output = Path(command[command.index("--output-file") + 1])
        self.kept.append(output.read_text() if output.exists() else "")
        self.asked.append(input)
        self.limits.append(Path(command[command.index("--constraints") + 1]).read_text())
        if self.error:
            return Completed(command, 1, "", self.error)
        output.write_text(self.answers.pop(0))
        return Completed(command, 0, "", "")


@pytest.fixture
def project(file: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with one constraints file and the settings of this checkout."""
    shutil.copy(projects.OWN.file, file.parents[1])
    monkeypatch.chdir(file.parents[1])
    return projects.at(file.parents[1])


def test_generate_keeps_present_versions_and_reports_changes(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = "apache-airflow-providers-ftp==1"
    resolver = Resolver(
        f"apache-airflow==3.3.2\n{provider}\nb==1\n",
        "apache-airflow==3.3.2\nonly-arm==1\n",
        f"apache-airflow==3.3.2\n{provider}\n",
        "apache-airflow==3.3.2\nonly-arm==1\n",
    )
    monkeypatch.setattr(process, "run", resolver)
    messages: list[str] = []
    chosen = loading.load({"tag": "x"}, environment={})
    constraint_files.generate("3.11", chosen, Uv({}), upgrade=False, announce=messages.append)
    file = project.root / "constraints/constraints-3.11.txt"
    assert file.read_text() == (
        "# Made by `airflow-images constraints.generate`: Airflow 3.3.2 on Python 3.11.\n"
        "# The images install exactly these versions.\n"
        "apache-airflow==3.3.2\napache-airflow-providers-ftp==1\nb==1\nonly-arm==1\n"
    )
    core = constraint_files.path(project, "3.11", "constraints-no-providers")
    assert core.read_text().endswith("free.\napache-airflow==3.3.2\nonly-arm==1\n")
    sources = constraint_files.path(project, "3.11", "constraints-source-providers")
    assert sources.read_text().endswith("its sources.\nb==1\nonly-arm==1\n")
    assert resolver.asked[2] == "apache-airflow==3.3.2"
    for made in (core, sources):
        constraint_files.check(made, "3.11", "3.3.2")
    assert resolver.kept[0] == "apache-airflow==3.3.2\nzope-interface==8.7\n"
    assert "pytest-xdist" in resolver.asked[0].splitlines()
    assert messages == [
        *("+ apache-airflow-providers-ftp 1", "+ b 1", "+ only-arm 1", "- zope-interface 8.7"),
        "constraints/constraints-3.11.txt: 4 packages",
    ]
    constraint_files.check(file, "3.11", "3.3.2")


def test_upgrade_ignores_present_versions(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = Resolver(*["apache-airflow==3.3.2\n"] * 4)
    monkeypatch.setattr(process, "run", resolver)
    settings = loading.load(environment={})
    constraint_files.generate("3.11", settings, Uv({}), upgrade=True, announce=print)
    assert resolver.kept[0] == ""
    assert resolver.limits[0].splitlines() == list(settings.constraints_limits)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (
            "  \u00d7 No solution found when resolving dependencies:\n  \u2570 a and b\n",
            DependencyError,
        ),
        ("error: Failed to fetch: `x`\n  Caused by: dns error\n", NetworkError),
    ],
)
def test_uv_error_is_one_line_and_keeps_the_file(
    project: Project, monkeypatch: pytest.MonkeyPatch, error: str, kind: type[Exception]
) -> None:
    monkeypatch.setattr(process, "run", Resolver(error=error))
    with pytest.raises(kind) as caught:
        constraint_files.generate(
            "3.11", loading.load(environment={}), Uv({}), upgrade=False, announce=print
        )
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("constraints-3.11: ")
    assert constraint_files.path(project, "3.11").read_text() == GOOD


def test_files_of_requirements_and_constraints_are_resolved(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project.root
    (root / "requirements.txt").write_text("-c own.txt\npandas ; python_version > '3.9' # why\n")
    (root / "own.txt").write_text("numpy<2\n")
    resolver = Resolver(*["apache-airflow==3.3.2\n"] * 4)
    monkeypatch.setattr(process, "run", resolver)
    settings = loading.load({"dependencies-python": "-r requirements.txt,boto3"}, environment={})
    constraint_files.generate("3.11", settings, Uv({}), upgrade=True, announce=print)
    asked = resolver.asked[0].splitlines()
    assert asked[2:4] == ["pandas ; python_version > '3.9'", "boto3"]
    assert resolver.limits[0].splitlines() == [*settings.constraints_limits, "numpy<2"]
    assert "pandas" not in resolver.asked[2]
