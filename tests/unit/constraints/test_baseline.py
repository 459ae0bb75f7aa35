from __future__ import annotations

from functools import partial
from pathlib import Path

import projects
import pytest

from build_tasks import process
from build_tasks.config import loading
from build_tasks.config import project as config_project
from build_tasks.constraints import baseline, constraint_files
from build_tasks.constraints.resolver import Uv
from build_tasks.errors import UsageError
from build_tasks.model.matrix import ImageKind
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
        (root / "images.toml").write_text("[airflow]\nextras = []\n")
        self.settings = loading.load(environment={}, file=root / "images.toml")
        self.project = projects.at(root)
        self.messages: list[str] = []
        self.inputs: list[str] = []
        (root / "constraints").mkdir()

    @property
    def file(self) -> Path:
        return constraint_files.path(self.project, "3.11", "baseline")

    def constrain(self, *pins: str) -> None:
        constraint_files.path(self.project, "3.11").write_text("\n".join(pins))

    def select(self, kind: ImageKind = ImageKind.PROD, *, slim: bool = False) -> str:
        settings = self.settings.replace({"prod.profile": "slim" if slim else "official"})
        return baseline.select(settings, "3.11", kind, self.messages.append)

    def refresh(self) -> None:
        self.messages.clear()
        needed = partial(constraint_files.needed, "3.11", self.settings, Uv({}))
        baseline.refresh("3.11", self.settings, Uv({}), needed, announce=self.messages.append)

    def uv(self, command: Command, *, input: str, **_: object) -> Completed:
        output = Path(command[command.index("--output-file") + 1])
        if "pylock.toml" in command:
            self.inputs.append(input)
            assert "--no-deps" in command
            output.write_text(LOCK)
        else:
            assert "apache-airflow==3.3.2" in input.splitlines()
            output.write_text(Path(command[command.index("--constraints") + 1]).read_text())
        return Completed(command, 0, "", "")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    one = Bench(tmp_path)
    monkeypatch.setattr(config_project, "SHIPPED", tmp_path / "none")
    monkeypatch.setattr(process, "run", one.uv)
    return one


@pytest.mark.parametrize("python", PYTHONS)
def test_baselines_of_the_project_are_within_the_bound(python: str) -> None:
    for kind, mode in ((ImageKind.PROD, "baseline"), (ImageKind.CI, "baseline-ci")):
        sizes = baseline.read(constraint_files.path(projects.OWN, python, mode))
        assert min(sizes.values()) > 0
        said: list[str] = []
        chosen = baseline.select(loading.load(environment={}), python, kind, said.append)
        assert (chosen, said) == (mode, [])


@pytest.mark.parametrize("python", PYTHONS)
def test_ci_installs_nothing_first_that_it_does_not_have(python: str) -> None:
    ci, prod = (
        {name for name, _ in baseline.read(constraint_files.path(projects.OWN, python, mode))}
        for mode in ("baseline-ci", "baseline")
    )
    assert {"pytest", "apache-airflow-providers-celery"} <= ci
    assert not {"pytest", "requests-mock"} & prod
    assert {"apache-airflow-providers-google", "apache-airflow-providers-fab"} <= prod - ci


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


@pytest.mark.parametrize(
    ("text", "ci", "prod"),
    [
        ("", "baseline", "baseline"),
        ("[airflow]\nextras = []", "baseline-ci", "baseline-ci"),
        ("[ci]\nextras = []", "baseline-ci", "baseline"),
        ("[ci]\nfrom = '.'", "baseline-ci", "baseline"),
        ("[prod]\nprofile = 'slim'", "baseline", "constraints-no-providers"),
    ],
)
def test_the_baselines_of_the_package_are_for_its_own_lists_of_extras(
    tmp_path: Path, text: str, ci: str, prod: str
) -> None:
    """Else an image with few extras would install and remove hundreds of packages."""
    file = tmp_path / "images.toml"
    file.write_text(text)
    settings = loading.load(environment={}, file=file)
    said: list[str] = []
    modes = [baseline.select(settings, "3.11", kind, said.append) for kind in ImageKind]
    assert (modes, said) == ([ci, prod], [])


def test_without_its_baseline_a_ci_image_begins_with_airflow_alone(project: Bench) -> None:
    """What it lacks of all constraints would stay below the step that removes it."""
    project.constrain("big==2")
    (project.file.parent / "baseline-ci-3.11.txt").write_text("big==1  # 800\n")
    assert project.select(ImageKind.CI) == "constraints-no-providers"
    (said,) = project.messages
    assert said.startswith("constraints/baseline-ci-3.11.txt: not used: 100% is out of date")


def test_for_a_checkout_the_constraints_that_it_follows_count(project: Bench) -> None:
    """Their packages of Airflow are not in the first layer either."""
    project.settings = project.settings.replace({"ci.from": "."})
    folder = project.file.parent
    provider = "apache-airflow-providers-big==1"
    (folder / "baseline-ci-3.11.txt").write_text(f"small==1  # 200\n{provider}  # 800\n")
    project.constrain("small==2", provider)
    file = folder / "constraints-source-providers-3.11.txt"
    file.write_text("small==1\n")
    assert project.select(ImageKind.CI) == "baseline-ci"
    file.write_text("small==2\n")
    assert project.select(ImageKind.CI) == "constraints-no-providers"
    assert project.messages[0].endswith(" --python 3.11 --from-sources")


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
        "# Made by `airflow-images constraints.generate`: the first packages of PROD on Python "
        "3.11.\n"
        "# Beside each version the bytes of its wheel; made anew when a fifth is out of date.\n"
        "big==1  # 800\nsmall==1  # 200\n"
    )
    assert project.inputs == ["big==1\nsmall==1\n"] * 2
    assert project.messages == [
        "constraints/baseline-ci-3.11.txt: written, 0 MB of wheels",
        "constraints/baseline-3.11.txt: written, 0 MB of wheels",
    ]
    project.refresh()
    assert len(project.inputs) == 2  # what is the same needs no sizes


def test_baseline_is_kept_within_the_bound_and_rewritten_beyond(project: Bench) -> None:
    kept = "big==1  # 800\nsmall==0  # 200\n"
    project.file.write_text(kept)
    project.constrain("big==1", "small==1")
    project.refresh()
    assert project.file.read_text() == kept
    assert project.messages[1:] == [
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
