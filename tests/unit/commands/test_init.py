"""The files of a new project."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from jsonschema import Draft7Validator
from packaging.requirements import Requirement

from build_tasks.commands import init
from build_tasks.config import loading, profiles
from build_tasks.config.options import Options
from build_tasks.config.settings import Settings
from build_tasks.errors import UsageError
from build_tasks.inputs import dockerignore

ROOT = Path(__file__).resolve().parents[3]
FILES = ["images.toml", "noxfile.py", "tasks.py", ".dockerignore", ".gitattributes"]
NEXT = "next: airflow-images image.build --kind prod --python 3.11"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "team"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def run(capsys: pytest.CaptureFixture[str]) -> list[str]:
    init.init_project(Options({}))
    return capsys.readouterr().out.splitlines()


def test_an_empty_folder_gets_all_files_and_the_next_command(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [*FILES, "images.schema.json"]
    assert run(capsys) == [*(f"{name}: written" for name in files), NEXT]
    assert sorted(path.name for path in folder.iterdir()) == sorted(files)
    assert not [path for path in folder.iterdir() if "{version}" in path.read_text()]


def test_what_is_there_is_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "noxfile.py").write_text("mine\n")
    (folder / "tasks.py").symlink_to("nowhere")
    (folder / "images.toml").write_text('pythons = ["3.13"]\n')
    lines = run(capsys)
    assert [line for line in lines if "kept" in line] == [
        f"{name}: kept as it is" for name in ("images.toml", "noxfile.py", "tasks.py")
    ]
    assert lines[-1] == NEXT.replace("3.11", "3.13")
    assert (folder / "noxfile.py").read_text() == "mine\n"
    assert not (folder / "nowhere").exists()
    assert all("kept" in line for line in run(capsys)[:-1])


def test_a_mistake_in_a_file_that_is_kept_is_named(folder: Path) -> None:
    (folder / "images.toml").write_text("python = []\n")
    with pytest.raises(UsageError, match=r"^images\.toml: unknown key 'python'"):
        init.init_project(Options({}))


@pytest.mark.usefixtures("folder")
def test_another_settings_file_is_not_ignored(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_IMAGES_FILE", "team/images.toml")
    with pytest.raises(UsageError, match=r"^team/images\.toml: init writes .*: go to the folder"):
        run(capsys)
    assert not list(folder.iterdir())
    monkeypatch.setenv("AIRFLOW_IMAGES_FILE", "images.toml")
    assert run(capsys)


def test_the_settings_are_right_and_editors_find_the_schema(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys)
    text = (folder / "images.toml").read_text()
    schema = re.match(r"#:schema (.*)\n", text)
    assert schema
    validator = Draft7Validator(json.loads((folder / schema[1]).read_text()))
    examples = re.sub(r"^# (?=[a-z-]+ = |\[)", "", text, flags=re.MULTILINE)
    assert examples != text
    settings = None
    for content in (text, examples):
        assert not [*validator.iter_errors(tomllib.loads(content))]
        (folder / "images.toml").write_text(content)
        settings = loading.load(environment={}, file=folder / "images.toml")
        assert settings.airflow_version == Settings.__dict__["airflow_version"].default
        assert settings.repository == "my-team/airflow"
    assert settings
    assert settings.apt_sources == ("apt/microsoft.sources",)


def test_the_constraints_of_the_package_are_for_the_extras(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So the first build needs no constraints of the team's own."""
    run(capsys)
    own = tomllib.loads((ROOT / "images.toml").read_text())
    team = tomllib.loads((folder / "images.toml").read_text())
    official = profiles.official_extras(team["airflow"]["version"], "a test")
    assert set(team["airflow"]["extras"]) <= {*official, *own["ci"]["extras"]}
    assert "extras" not in own["airflow"]
    assert set(team["ci"]["test-packages"]) <= set(own["ci"]["test-packages"])
    assert set(team["pythons"]) <= set(own["pythons"])


def test_the_noxfile_asks_for_this_version(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys)
    text = (folder / "noxfile.py").read_text()
    block = re.search(r"# /// script\n(.*?)# ///", text, re.DOTALL)
    assert block
    inline = tomllib.loads("\n".join(line[2:] for line in block[1].splitlines()))
    needed, nox = map(Requirement, inline["dependencies"])
    assert nox.name == "nox"  # it requires its own name
    assert needed.name == "airflow-images"
    version = metadata.version("airflow-images")
    assert needed.specifier.contains(version, prereleases=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert inline["requires-python"] == project["requires-python"]
    assert len(ast.parse(text).body) == 3
    assert len(ast.parse((folder / "tasks.py").read_text()).body) == 3


def test_the_context_is_that_of_the_project_itself(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys)
    team, own = (
        dockerignore.parse((root / ".dockerignore").read_text().splitlines())
        for root in (folder, ROOT)
    )
    assert team == own
