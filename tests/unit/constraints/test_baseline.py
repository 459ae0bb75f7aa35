from __future__ import annotations

from pathlib import Path

import pytest

from build_tasks import process
from build_tasks.config.settings import ROOT
from build_tasks.constraints import baseline, constraint_files
from build_tasks.errors import UsageError
from build_tasks.process import Command, Completed

PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
LOCK = """\
lock-version = "1.0"
[[packages]]
name = "big"
version = "1"
sdist = { url = "x", size = 9000 }
wheels = [{ url = "a", size = 700 }, { url = "b", size = 800 }]
[[packages]]
name = "small"
version = "1"
sdist = { url = "x", size = 200 }
"""


class Project:
    """A folder with constraints and a baseline for Python 3.11."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.said: list[str] = []
        self.asked: list[str] = []
        (root / "constraints").mkdir()

    @property
    def file(self) -> Path:
        return constraint_files.path(self.root, "3.11", "baseline")

    def constrain(self, *pins: str) -> None:
        constraint_files.path(self.root, "3.11").write_text("\n".join(pins))

    def choose(self, *, slim: bool = False) -> str:
        return baseline.select(self.root, "3.11", slim=slim, announce=self.said.append)

    def follow(self) -> None:
        baseline.refresh("3.11", announce=self.said.append)

    def uv(self, command: Command, *, input: str, **_: object) -> Completed:
        self.asked.append(input)
        assert {"--no-deps", "pylock.toml"} <= set(command)
        Path(command[command.index("--output-file") + 1]).write_text(LOCK)
        return Completed(command, 0, "", "")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    one = Project(tmp_path)
    monkeypatch.setattr(baseline, "ROOT", tmp_path)
    monkeypatch.setattr(process, "run", one.uv)
    return one


@pytest.mark.parametrize("python", PYTHONS)
def test_the_projects_own_baselines_are_within_the_bound(python: str) -> None:
    sizes = baseline.read(constraint_files.path(ROOT, python, "baseline"))
    assert min(sizes.values()) > 0
    said: list[str] = []
    assert baseline.select(ROOT, python, slim=False, announce=said.append) == "baseline"
    assert said == []


def test_a_baseline_is_used_as_long_as_a_fifth_of_it_is_out_of_date(project: Project) -> None:
    project.file.write_text("# Made.\nbig==1  # 800\nsmall==1  # 200\n")
    project.constrain("big==1", "small==2", "another==1")
    assert project.choose() == "baseline"
    assert project.said == []
    project.constrain("big==2", "small==1")
    assert project.choose() == "constraints"
    assert project.said == [
        "constraints/baseline-3.11.txt: not used: 80% is out of date and 20% may be: "
        "one changed version installs all again: run: nox -s constraints-3.11"
    ]


def test_a_package_that_is_gone_counts_as_out_of_date(project: Project) -> None:
    project.file.write_text("big==1  # 800\nsmall==1  # 201\n")
    project.constrain("big==1")
    assert project.choose() == "constraints"


def test_a_slim_image_begins_with_airflow_alone(project: Project) -> None:
    assert project.choose(slim=True) == "constraints-no-providers"


@pytest.mark.parametrize("line", ["big==1", "big>=1  # 800", "big==1 # large"])
def test_a_malformed_baseline_is_one_line_with_its_place(project: Project, line: str) -> None:
    project.file.write_text(f"# Made.\n{line}\n")
    with pytest.raises(UsageError) as caught:
        baseline.read(project.file)
    assert str(caught.value) == (
        f"constraints/baseline-3.11.txt: {line!r} is no pin and size like name==1.2.3  # 4567"
    )


def test_a_missing_baseline_is_one_line_with_the_command(project: Project) -> None:
    project.constrain("big==1")
    with pytest.raises(UsageError, match=r"baseline-3\.11\.txt: not there: run: nox -s constr"):
        project.choose()


def test_a_first_baseline_is_the_constraints_with_the_sizes(project: Project) -> None:
    project.constrain("big==1", "small==1")
    project.follow()
    assert project.file.read_text() == (
        "# Made by `nox -s constraints-3.11`: what the images of Python 3.11 install first.\n"
        "# Beside each version the bytes of its wheel; made anew when a fifth is out of date.\n"
        "big==1  # 800\nsmall==1  # 200\n"
    )
    assert project.asked == ["big==1\nsmall==1\n"]
    assert project.said == ["constraints/baseline-3.11.txt: made anew, 0 MB of wheels"]
    project.follow()
    assert len(project.asked) == 1  # what is the same needs no sizes


def test_a_baseline_is_kept_within_the_bound_and_made_anew_beyond(project: Project) -> None:
    kept = "big==1  # 800\nsmall==0  # 200\n"
    project.file.write_text(kept)
    project.constrain("big==1", "small==1")
    project.follow()
    assert project.file.read_text() == kept
    assert project.said == [
        "constraints/baseline-3.11.txt: kept, 20% is out of date and 20% is new"
    ]
    project.file.write_text("big==0  # 800\nsmall==1  # 200\n")
    project.follow()
    assert "big==1  # 800\n" in project.file.read_text()


def test_what_only_came_makes_a_baseline_anew_too(project: Project) -> None:
    """Else each change would install it again, for ever."""
    project.file.write_text("small==1  # 200\n")
    project.constrain("big==1", "small==1")
    project.follow()
    assert "big==1  # 800\n" in project.file.read_text()
