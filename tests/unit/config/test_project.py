from __future__ import annotations

from pathlib import Path

import projects
import pytest

from build_tasks.config import loading, project
from build_tasks.config.project import SHIPPED, Project
from build_tasks.errors import UsageError


def test_the_nearest_file_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "team" / "dags"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    with pytest.raises(UsageError, match=f"^there is no images.toml in {inner} or above: "):
        project.find({})
    (tmp_path / "images.toml").touch()
    assert project.find({}) == Project(tmp_path / "images.toml", "folder above")
    (tmp_path / "team" / "images.toml").touch()
    assert project.find({}).root == tmp_path / "team"
    (inner / "images.toml").touch()
    assert project.find({}) == Project(inner / "images.toml", "current folder")


def test_a_variable_and_an_argument_name_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    (tmp_path / "images.toml").touch()
    named = {"AIRFLOW_IMAGES_FILE": "other/prod.toml"}
    assert project.find(named) == Project(tmp_path / "other/prod.toml", "AIRFLOW_IMAGES_FILE")
    assert project.find({"AIRFLOW_IMAGES_FILE": "~/x.toml"}).file == Path("/home/me/x.toml")
    assert project.find(named, Path("a.toml")) == Project(tmp_path / "a.toml", "--file")
    assert project.find({"AIRFLOW_IMAGES_FILE": ""}).root == tmp_path


def test_own_files_take_precedence(tmp_path: Path) -> None:
    team = projects.at(tmp_path)
    for name in ("Dockerfile", "constraints/constraints-3.11.txt", "sources/README.md"):
        assert team.path(name) == SHIPPED / name
    (tmp_path / "constraints").mkdir()
    (tmp_path / "constraints/constraints-3.11.txt").touch()
    (tmp_path / "Dockerfile").touch()
    assert team.path("Dockerfile") == tmp_path / "Dockerfile"
    assert team.path("Dockerfile.ci") == SHIPPED / "Dockerfile.ci"
    assert team.path("constraints/constraints-3.11.txt").parent == tmp_path / "constraints"
    assert team.path("constraints/baseline-3.11.txt").parent == SHIPPED / "constraints"


def test_a_link_without_a_target_is_no_reason_to_take_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "team"
    inner.mkdir()
    (tmp_path / "images.toml").touch()
    for name in ("images.toml", "Dockerfile", "sources"):
        (inner / name).symlink_to("gone")
    monkeypatch.chdir(inner)
    team = project.find({})
    assert team.root == inner
    assert team.path("Dockerfile") == inner / "Dockerfile"
    assert team.path("sources/README.md") == inner / "sources/README.md"
    assert team.own == ("Dockerfile", "sources")
    with pytest.raises(UsageError, match=r"/team/images\.toml: cannot be read: No such file"):
        loading.load(environment={})


def test_a_requirements_file_without_a_target_is_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "images.toml").touch()
    (tmp_path / "requirements.txt").symlink_to("gone")
    settings = loading.load(environment={}, file=tmp_path / "images.toml")
    assert settings.dependencies_python == ("-r requirements.txt",)


def test_own_sources_replace_all_of_the_package(tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    assert projects.at(tmp_path).path("sources/README.md") == tmp_path / "sources/README.md"


def test_a_file_that_nobody_has_is_the_projects(tmp_path: Path) -> None:
    assert projects.at(tmp_path).path("constraints/x") == tmp_path / "constraints/x"


def test_settings_have_their_project(tmp_path: Path) -> None:
    (tmp_path / "images.toml").write_text('branch = "x"')
    settings = loading.load(environment={}, file=tmp_path / "images.toml")
    assert settings.project.root == settings.replace({}).project.root == tmp_path
