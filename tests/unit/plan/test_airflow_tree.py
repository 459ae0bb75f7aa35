"""A CI image from a checkout: what is installed, and the files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from checkouts import CORE, PROVIDER, SDK, write

from build_tasks.config import loading
from build_tasks.config.settings import Settings
from build_tasks.errors import UsageError
from build_tasks.inputs.context import Prepared
from build_tasks.inputs.git_files import Listing
from build_tasks.model.matrix import ImageKind
from build_tasks.plan import airflow_tree
from build_tasks.plan.airflow_source import Installation
from build_tasks.process import Announce

ROOT = """\
[project]
name = "apache-airflow"
version = "3.3.2"
dependencies = ["sqlalchemy<2"]
[project.optional-dependencies]
"cncf.kubernetes" = ["kubernetes"]
[tool.uv.workspace]
members = ["airflow-core", "task-sdk", "providers/standard", "dev/breeze", "dev/mypy"]
"""


@pytest.fixture(autouse=True)
def _no_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Listing, "ask_git", lambda *_: None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    write(
        root,
        {
            "pyproject.toml": ROOT,
            "airflow-core/pyproject.toml": CORE,
            "airflow-core/src/airflow/__init__.py": '__version__ = "3.3.2"\n',
            "task-sdk/pyproject.toml": SDK,
            "task-sdk/src/airflow/sdk/__init__.py": '__version__ = "1.3.2"\n',
            "providers/standard/pyproject.toml": PROVIDER,
        },
    )
    return root


def settings(root: Path, values: Mapping[str, object] | None = None) -> Settings:
    loaded = loading.load({"ci-from": str(root)}, environment={})
    chosen = {"ci.extras": (), "ci.groups": ("dev",), **(values or {})}
    return loaded.replace(chosen)


def find(chosen: Settings, announce: Announce) -> Installation:
    return airflow_tree.find(airflow_tree.read(chosen, announce), chosen, "3.11", announce)


def prepare(chosen: Settings) -> Mapping[str, Prepared]:
    return airflow_tree.prepare(airflow_tree.read(chosen, quiet), chosen, quiet)


def quiet(_: str) -> None:
    """Leave a note out."""


def test_metadata_requirements_and_pins_are_contexts(root: Path) -> None:
    notes: list[str] = []
    found = find(settings(root), notes.append)
    assert (found.kind, found.version, found.extras) == (ImageKind.CI, "3.3.2", ())
    assert found.local == {
        *("apache-airflow", "apache-airflow-core", "apache-airflow-task-sdk"),
        "apache-airflow-providers-standard",
    }
    metadata = found.contexts["metadata"]
    assert (metadata / "requirements.txt").read_text().splitlines() == [
        "-e /opt/airflow",
        "-e /opt/airflow/airflow-core",
        "-e /opt/airflow/task-sdk",
        "-e /opt/airflow/providers/standard",
        *("apache-airflow-core[all]", "pytest>=8", "rich"),
    ]
    assert (metadata / "checkout/task-sdk/pyproject.toml").read_text() == SDK
    pins = (found.contexts["constraints"] / "constraints.txt").read_text().splitlines()
    assert not [pin for pin in pins if pin.startswith("apache-airflow")]
    assert not [pin for pin in pins if pin.startswith("sqlalchemy==")]
    members, pin = notes
    assert "lists 2 members that are not there, dev/breeze and 1 more: " in members
    assert "is not used: pyproject.toml: dependencies wants sqlalchemy<2: run: " in pin
    assert pin.endswith("--from-sources")


def test_what_does_not_support_the_python_is_said(root: Path) -> None:
    narrow = PROVIDER.replace('version = "1.0"', 'version = "1.0"\nrequires-python = "!=3.11"')
    write(root, {"providers/standard/pyproject.toml": narrow})
    notes: list[str] = []
    found = find(settings(root), notes.append)
    assert "apache-airflow-providers-standard" not in found.local
    assert (
        "warning: --ci-from: left out, for they do not support Python 3.11: "
        "apache-airflow-providers-standard"
    ) in notes


def test_extras_are_checked_against_the_checkout(root: Path) -> None:
    chosen = loading.load({"ci-from": str(root), "ci-extras": "cncf-kubernets"}, environment={})
    with pytest.raises(
        UsageError, match=r"--ci-extras: Airflow 3\.3\.2 has no extra .* did you mean"
    ):
        find(chosen, quiet)
    chosen = loading.load({"ci-from": str(root), "ci-extras": "cncf.kubernetes"}, environment={})
    found = find(chosen, quiet)
    assert found.extras == ("cncf-kubernetes",)


def test_a_user_interface_that_is_not_compiled_is_said(root: Path) -> None:
    notes: list[str] = []
    write(root, {"airflow-core/src/airflow/ui/package.json": "{}"})
    find(settings(root), notes.append)
    assert [note for note in notes if "user interface" in note] == [
        "warning: --ci-from: airflow-core/src/airflow/ui/dist: this user interface is not compiled"
    ]
    write(root, {"airflow-core/src/airflow/ui/dist/assets/index.js": "1"})
    notes.clear()
    find(settings(root), notes.append)
    assert not [note for note in notes if "user interface" in note]


def test_an_edited_module_changes_the_files_alone(root: Path) -> None:
    before = find(settings(root), quiet)
    files = prepare(settings(root))
    write(root, {"airflow-core/src/airflow/__init__.py": '__version__ = "3.3.2"\nedited = 1\n'})
    assert find(settings(root), quiet) == before
    edited = prepare(settings(root))
    assert edited["sources"] == files["sources"]
    assert edited["changes"].files.keys() == {"airflow-core/src/airflow/__init__.py"}


def test_what_was_made_in_the_checkout_enters_whatever_is_ignored(root: Path) -> None:
    write(
        root,
        {
            ".dockerignore": "**\n!airflow-core\n**/dist\n",
            "airflow-core/src/airflow/ui/dist/index.html": "1",
            "airflow-core/src/airflow/git_version": "1",
            "generated/provider_dependencies.json": "{}",
            "dist/package.whl": "1",
        },
    )
    files = prepare(settings(root))["sources"].files
    assert {path for path in files if not path.endswith((".py", ".toml"))} == {
        "airflow-core/src/airflow/ui/dist/index.html",
        "airflow-core/src/airflow/git_version",
        "generated/provider_dependencies.json",
    }


def test_no_link_leads_to_files_outside_of_the_checkout(root: Path, tmp_path: Path) -> None:
    write(tmp_path, {"secrets/key": "1", "secrets/more/key": "1"})
    interface = root / "airflow-core/src/airflow/ui"
    interface.mkdir()
    for link in (interface / "dist", root / "generated"):
        link.symlink_to(tmp_path / "secrets")
    notes: list[str] = []
    found = airflow_tree.prepare(
        airflow_tree.read(settings(root), notes.append), settings(root), quiet
    )
    assert not [path for path in found["sources"].files if path.endswith("key")]
    assert "user interface is not compiled" in notes[-1]


def test_a_checkout_that_is_mounted_sends_no_files(root: Path) -> None:
    assert prepare(settings(root, {"sources": "mount"})) == {}


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--ci-from: there is no folder .*: choose release"):
        find(settings(tmp_path / "none"), quiet)
