from __future__ import annotations

from pathlib import Path

import projects
import pytest

from build_tasks import process
from build_tasks.config import project as config_project
from build_tasks.constraints import baseline, constraint_files
from build_tasks.constraints.resolver import Uv
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


class Bench:
    """A folder with constraints and a baseline for Python 3.11."""

    def __init__(self, root: Path) -> None:
        self.project = projects.at(root)
        self.messages: list[str] = []
        self.inputs: list[str] = []
        (root / "constraints").mkdir()

    @property
    def file(self) -> Path:
        return constraint_files.path(self.project, "3.11", "baseline")

    def constrain(self, *pins: str) -> None:
        constraint_files.path(self.project, "3.11").write_text("\n".join(pins))

    def select(self, *, slim: bool = False) -> str:
        return baseline.select(self.project, "3.11", slim=slim, announce=self.messages.append)

    def refresh(self) -> None:
        baseline.refresh("3.11", self.project, Uv({}), announce=self.messages.append)

    def uv(self, command: Command, *, input: str, **_: object) -> Completed:
        self.inputs.append(input)
        assert {"--no-deps", "pylock.toml"} <= set(command)
        Path(command[command.index("--output-file") + 1]).write_text(LOCK)
        return Completed(command, 0, "", "")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    one = Bench(tmp_path)
    monkeypatch.setattr(config_project, "SHIPPED", tmp_path / "none")
    monkeypatch.setattr(process, "run", one.uv)
    return one


@pytest.mark.parametrize("python", PYTHONS)
def test_baselines_of_the_project_are_within_the_bound(python: str) -> None:
    sizes = baseline.read(constraint_files.path(projects.OWN, python, "baseline"))
    assert min(sizes.values()) > 0
    said: list[str] = []
    assert baseline.select(projects.OWN, python, slim=False, announce=said.append) == "baseline"
    assert said == []


def test_baseline_is_used_up_to_the_bound(project: Bench) -> None:
    project.file.write_text("# Made.\nbig==1  # 800\nsmall==1  # 200\n")
    project.constrain("big==1", "small==2", "another==1")
    assert project.select() == "baseline"
    assert project.messages == []
    project.constrain("big==2", "small==1")
    assert project.select() == "constraints"
    assert project.messages == [
        "constraints/baseline-3.11.txt: not used: 80% is out of date and 20% may be: "
        "one changed version installs all again: run: airflow-images constraints.generate --python "
        "3.11"
    ]


def test_removed_package_counts_as_out_of_date(project: Bench) -> None:
    project.file.write_text("big==1  # 800\nsmall==1  # 201\n")
    project.constrain("big==1")
    assert project.select() == "constraints"


def test_slim_image_starts_with_the_core_constraints(project: Bench) -> None:
    assert project.select(slim=True) == "constraints-no-providers"


@pytest.mark.parametrize("line", ["big==1", "big>=1  # 800", "big==1 # large"])
def test_malformed_baseline_is_one_line_with_its_place(project: Bench, line: str) -> None:
    project.file.write_text(f"# Made.\n{line}\n")
    with pytest.raises(UsageError) as caught:
        baseline.read(project.file)
    assert str(caught.value) == (
        "constraints/baseline-3.11.txt:2: expected a pin and size like name==1.2.3  # 4567, "
        f"got {line!r}"
    )


def test_missing_baseline_is_one_line_with_the_command(project: Bench) -> None:
    project.constrain("big==1")
    with pytest.raises(UsageError, match=r"baseline-3\.11\.txt: not found: run: airflow-im"):
        project.select()


def test_first_baseline_has_all_constraints_with_sizes(project: Bench) -> None:
    project.constrain("big==1", "small==1")
    project.refresh()
    assert project.file.read_text() == (
        "# Made by `airflow-images constraints.generate`: what the images of Python 3.11 install "
        "first.\n"
        "# Beside each version the bytes of its wheel; made anew when a fifth is out of date.\n"
        "big==1  # 800\nsmall==1  # 200\n"
    )
    assert project.inputs == ["big==1\nsmall==1\n"]
    assert project.messages == ["constraints/baseline-3.11.txt: written, 0 MB of wheels"]
    project.refresh()
    assert len(project.inputs) == 1  # what is the same needs no sizes


def test_baseline_is_kept_within_the_bound_and_rewritten_beyond(project: Bench) -> None:
    kept = "big==1  # 800\nsmall==0  # 200\n"
    project.file.write_text(kept)
    project.constrain("big==1", "small==1")
    project.refresh()
    assert project.file.read_text() == kept
    assert project.messages == [
        "constraints/baseline-3.11.txt: kept, 20% is out of date and 20% is new"
    ]
    project.file.write_text("big==0  # 800\nsmall==1  # 200\n")
    project.refresh()
    assert "big==1  # 800\n" in project.file.read_text()


def test_new_packages_alone_rewrite_the_baseline(project: Bench) -> None:
    """Else each change would install it again, for ever."""
    project.file.write_text("small==1  # 200\n")
    project.constrain("big==1", "small==1")
    project.refresh()
    assert "big==1  # 800\n" in project.file.read_text()
