"""What goes into images, whatever their platform."""

from __future__ import annotations

import re
from pathlib import Path

import projects
import pytest

from build_tasks import paths
from build_tasks.config import loading
from build_tasks.config.project import SHIPPED as ROOT
from build_tasks.errors import DependencyError
from build_tasks.inputs import context
from build_tasks.inputs.context import Allowed, Prepared
from build_tasks.model.labels import Revision
from build_tasks.model.matrix import ImageKind
from build_tasks.plan import image_content, revision
from build_tasks.plan.image_content import ImageContent
from build_tasks.plan.selection import Image

CI = Image(ImageKind.CI, "3.11", slim=False)
PROD = Image(ImageKind.PROD, "3.11", slim=False)


@pytest.fixture(autouse=True)
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, Allowed]]:
    """The folders that are prepared, and what may enter of them."""
    folders: list[tuple[Path, Allowed]] = []

    def prepare(folder: Path, allowed: Allowed, *_: object) -> Prepared:
        folders.append((folder, allowed))
        return Prepared(folder, {})

    monkeypatch.setattr(context, "prepare", prepare)
    monkeypatch.setattr(revision, "current", lambda *_, build_id: Revision("abc", "", build_id))
    return folders


def collect(
    *images: Image, environment: dict[str, str] | None = None, **options: object
) -> tuple[list[ImageContent], list[str]]:
    given = {name.replace("_", "-"): value for name, value in options.items()}
    notes: list[str] = []
    settings = loading.load(given, environment=environment or {})
    return image_content.collect(images, settings, "7", notes.append, dry=False), notes


def test_images_share_a_context_which_is_prepared_once(
    prepared: list[tuple[Path, Allowed]],
) -> None:
    contents, notes = collect(CI, PROD, context_untracked="sources/**")
    assert prepared == [(ROOT, Allowed(("sources/**",)))]
    assert [content.image for content in contents] == [CI, PROD]
    assert notes == []


def test_arguments_begin_with_the_baseline_and_end_with_the_commit() -> None:
    (content,), _ = collect(CI)
    assert content.arguments[0] == ("AIRFLOW_BASELINE", "baseline-ci")
    assert content.arguments[-2:] == (("BUILD_ID", "7"), ("COMMIT_SHA", "abc"))
    assert (content.airflow, content.revision) == ("3.3.2", Revision("abc", "", "7"))


def test_a_slim_image_begins_with_airflow_alone() -> None:
    (content,), _ = collect(Image(ImageKind.PROD, "3.11", slim=True), prod_profile="slim")
    assert content.arguments[0] == ("AIRFLOW_BASELINE", "constraints-no-providers")


def test_sources_are_a_context_and_give_the_version(
    tmp_path: Path, prepared: list[tuple[Path, Allowed]]
) -> None:
    (tmp_path / "pyproject.toml").write_text('version = "3.4"\n')
    (ci, prod), _ = collect(CI, PROD, airflow_from=str(tmp_path))
    assert (ci.airflow, list(ci.contexts)) == ("3.3.2", [""])
    assert (prod.airflow, list(prod.contexts)) == ("3.4", ["", "sources"])
    assert [folder for folder, _ in prepared] == [ROOT, tmp_path]


def test_settings_for_prod_are_said_to_be_where_ci_is_built(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('version = "3.4"\n')
    environment = {"AIRFLOW_IMAGES_AIRFLOW_FROM": str(tmp_path)}
    warning = (
        "warning: AIRFLOW_IMAGES_AIRFLOW_FROM: does not count for the CI image, only for PROD "
        "(ci.from is for that one)"
    )
    assert collect(CI, environment=environment)[1] == [warning]
    assert collect(PROD, environment=environment)[1] == []
    assert collect(CI, PROD, airflow_from=str(tmp_path))[1] == []


def test_an_additional_package_without_a_version_is_warned_of_once() -> None:
    also = Image(ImageKind.CI, "3.12", slim=False)
    _, notes = collect(CI, also, PROD, dependencies_python="free,pinned==1")
    assert notes == [
        f"warning: free: constraints/constraints-{python}.txt has no version, so the newest is "
        "installed: pin it (NAME==VERSION), or have it in dependencies.python and run: "
        f"airflow-images constraints.generate --python {python}"
        for python in ("3.11", "3.12")
    ]


def test_own_constraints_are_named_in_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    file.write_text("apache-airflow==3.3.2\n")
    _, (note,) = collect(PROD, dependencies_python="free", constraints_location=str(file))
    assert note.startswith(f"warning: free: {file} has no version, so the newest is installed: ")


def test_the_package_fills_in_what_a_project_lacks(tmp_path: Path) -> None:
    (tmp_path / "constraints").mkdir()
    (tmp_path / "constraints/constraints-3.11.txt").touch()
    shipped = image_content._shipped(projects.at(tmp_path))
    assert "constraints/constraints-3.11.txt" not in shipped
    assert shipped["constraints/baseline-3.11.txt"] == ROOT / "constraints/baseline-3.11.txt"
    assert shipped[".dockerignore"] == ROOT / ".dockerignore"
    assert any(path.startswith("sources/dags/") for path in shipped)
    (tmp_path / "sources").mkdir()
    (tmp_path / ".dockerignore").touch()
    shipped = image_content._shipped(projects.at(tmp_path))
    assert not [path for path in shipped if not path.startswith("constraints/")]
    assert image_content._shipped(projects.OWN) == {}


def test_indexes_are_two_secrets_and_the_credentials_are_in_no_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UV_INDEX_CORP_USERNAME", "me")
    monkeypatch.setenv("UV_INDEX_CORP_PASSWORD", "canary-4711")
    (again,), _ = collect(CI, index_extra="corp=https://pypi.corp/simple/")
    (ci, prod), _ = collect(CI, PROD, index_extra="corp=https://pypi.corp/simple/")
    assert again.secrets == ci.secrets == prod.secrets
    index, credentials = ci.secrets
    assert index.id == "index"
    assert index.file
    text = index.file.read_text()
    assert text.startswith("export UV_INDEX=https://pypi.corp/simple/\n")
    assert "canary" not in text + repr(ci)
    assert (credentials.id, credentials.file) == ("index-credentials", None)
    assert credentials.value == "machine pypi.corp login me password canary-4711\n"


def test_without_indexes_there_is_no_secret() -> None:
    assert collect(CI)[0][0].secrets == ()


def test_a_folder_of_packages_is_a_context_with_all_its_files(
    tmp_path: Path, prepared: list[tuple[Path, Allowed]]
) -> None:
    (tmp_path / "a-1.tar.gz").touch()
    (ci, prod), _ = collect(CI, PROD, index_find_links=str(tmp_path))
    assert ("wheelhouse" in ci.contexts, "wheelhouse" in prod.contexts) == (True, True)
    assert prepared[1:] == [(tmp_path, Allowed(everything=True))]


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a project with a file of requirements, and with the package's constraints."""
    (tmp_path / "images.toml").write_text('pythons = ["3.11"]\n')
    (tmp_path / "requirements.txt").write_text("-r more.txt # why\nidna\n")
    (tmp_path / "more.txt").write_text("attrs\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_of_requirements_are_a_context_of_all_images(team: Path) -> None:
    (ci, prod), notes = collect(CI, PROD)
    assert notes[0] == (
        "requirements.txt: its packages are installed ([dependencies] python = [] for none)"
    )
    assert len(notes) == 1
    for content in (ci, prod):
        assert ("ADDITIONAL_PYTHON_DEPS", "-r requirements.txt") in content.arguments
        folder = content.contexts["requirement-files"].folder
        assert folder.is_relative_to(paths.cache_folder())
        texts = {file.name: file.read_text() for file in folder.iterdir()}
        assert texts == {"requirements.txt": "-r more.txt\nidna\n", "more.txt": "attrs\n"}
    _, notes = collect(CI, dependencies_python="idna")
    assert notes == []


def test_a_requirement_against_the_constraints_is_refused(team: Path) -> None:
    (team / "more.txt").write_text("attrs<1\n")
    with pytest.raises(DependencyError) as caught:
        collect(CI)
    assert re.fullmatch(
        r"more\.txt:1: attrs<1 excludes attrs \S+, which constraints/constraints-3\.11\.txt pins: "
        r"require another version, or run: airflow-images constraints\.generate --python 3\.11",
        str(caught.value),
    )
    own = team / "own.txt"
    own.write_text("attrs==0.9\n")
    collect(PROD, constraints_location=str(own))
    own.write_text("attrs==1.9\n")
    with pytest.raises(DependencyError, match=rf"{own} pins: require another version$"):
        collect(PROD, constraints_location=str(own))


def test_constraints_of_ones_own_give_a_version(team: Path) -> None:
    (team / "requirements.txt").write_text("-c more.txt\nfree\n")
    (team / "more.txt").write_text("free==1\n")
    assert len(collect(CI)[1]) == 1
    (team / "more.txt").write_text("")
    assert "warning: free: constraints/constraints-3.11.txt has no version" in collect(CI)[1][1]


def test_pins_do_not_hold_for_what_comes_from_sources(team: Path) -> None:
    (team / "pyproject.toml").write_text('version = "3.4.0"\n')
    (team / "requirements.txt").write_text("apache-airflow-core>=3.4\napache-airflow>=3.4\n")
    collect(PROD, airflow_from=str(team))
    with pytest.raises(DependencyError, match=r"apache-airflow-core>=3\.4 excludes"):
        collect(PROD)
    (team / "requirements.txt").write_text("apache-airflow==3.3.2\n")
    with pytest.raises(DependencyError, match=r"requirements\.txt:1: .* is not Airflow 3\.4\.0, "):
        collect(PROD, airflow_from=str(team))
