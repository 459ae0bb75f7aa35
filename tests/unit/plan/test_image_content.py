"""What goes into images, whatever their platform."""

from __future__ import annotations

from pathlib import Path

import projects
import pytest

from build_tasks.config import loading
from build_tasks.config.project import SHIPPED as ROOT
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
    assert content.arguments[0] == ("AIRFLOW_BASELINE", "baseline")
    assert content.arguments[-2:] == (("BUILD_ID", "7"), ("COMMIT_SHA", "abc"))
    assert (content.airflow, content.revision) == ("3.3.2", Revision("abc", "", "7"))


def test_a_slim_image_begins_with_airflow_alone() -> None:
    (content,), _ = collect(Image(ImageKind.PROD, "3.11", slim=True), prod_slim=True)
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
    warning = "warning: AIRFLOW_IMAGES_AIRFLOW_FROM: does not count for the CI image, only for PROD"
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
