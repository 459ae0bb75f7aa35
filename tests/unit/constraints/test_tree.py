"""What the settings select of a checkout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from checkouts import CORE, PROVIDER, SDK, write

from build_tasks.config import loading
from build_tasks.config.settings import Settings
from build_tasks.constraints import tree, workspace
from build_tasks.errors import UsageError

ROOT = """\
[project]
name = "apache-airflow"
version = "3.3.2"
requires-python = ">=3.10,!=3.13"
[project.optional-dependencies]
"cncf.kubernetes" = ["apache-airflow-providers-cncf-kubernetes"]
[dependency-groups]
dev = ["apache-airflow[all]"]
ci-image = [{ include-group = "dev" }]
[tool.uv.workspace]
members = ["airflow-core", "task-sdk", "providers/standard", "dev"]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(
        tmp_path,
        {
            "pyproject.toml": ROOT,
            "airflow-core/pyproject.toml": CORE,
            "task-sdk/pyproject.toml": SDK,
            "task-sdk/src/airflow/sdk/__init__.py": '__version__ = "1.3.2"\n',
            "providers/standard/pyproject.toml": PROVIDER,
        },
    )
    return tmp_path


def settings(root: Path, values: Mapping[str, object]) -> Settings:
    """Return settings with the checkout, where the values come from `here`."""
    loaded = loading.load({"ci-from": str(root)})
    origins = {**loaded.origins, **dict.fromkeys(values, "here")}
    return Settings({**loaded.values, "ci.extras": (), **values}, origins, loaded.project)


def select(root: Path, python: str = "3.11", **values: tuple[str, ...]) -> tree.Selection:
    named = {f"ci.{name}": value for name, value in values.items()}
    return tree.select(settings(root, named), workspace.read(root), python)


def test_all_distributions_are_installed_editable_by_default(root: Path) -> None:
    selection = select(root, extras=("cncf-kubernetes",))
    assert selection.airflow == "3.3.2"
    assert selection.lines("/opt/airflow") == [
        "-e /opt/airflow[cncf-kubernetes]",
        "-e /opt/airflow/airflow-core",
        "-e /opt/airflow/task-sdk",
        "-e /opt/airflow/providers/standard",
        *("apache-airflow-core[all]", "pytest>=8", "rich"),
    ]


def test_a_group_of_airflow_itself_is_named_with_it(root: Path) -> None:
    selection = select(root, groups=("apache_airflow:ci-image", "more"))
    groups = [(distribution.name, name) for distribution, name in selection.groups]
    assert groups == [("apache-airflow", "ci-image"), ("apache-airflow-core", "more")]


def test_distributions_are_named_by_their_names_or_folders(root: Path) -> None:
    selection = select(root, distributions=("airflow-core", "apache-airflow-task-sdk"))
    assert [*selection.distributions] == ["apache-airflow-core", "apache-airflow-task-sdk"]
    assert selection.extras == ()
    assert next(wanted.text for wanted in selection.wanted) == "sqlalchemy>=2"


def test_the_metadata_is_that_of_what_is_selected(root: Path) -> None:
    selection = select(root, distributions=("task-sdk",), groups=())
    assert {path.partition("/")[0] for path in selection.metadata()} == {"task-sdk"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"distributions": ("airflow-cor",)},
            "unknown distribution 'airflow-cor': did you mean",
        ),
        ({"distributions": ("dev",)}, "here: dev: the sources list it, and it is not there"),
        ({"groups": ("dev2",)}, "unknown dependency group 'dev2': did you mean dev?"),
        ({"groups": ("apache-airflow:docs",)}, "unknown dependency group 'docs'"),
        ({"groups": ("apache-airflow-cre:dev",)}, "unknown distribution 'apache-airflow-cre'"),
    ],
)
def test_an_unknown_name_is_one_line_with_the_nearest(
    root: Path, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as raised:
        select(root, **values)
    assert message in str(raised.value)
    assert str(raised.value).startswith("here: ")


def test_without_a_group_dev_nothing_is_wrong_by_default(root: Path) -> None:
    (root / "airflow-core/pyproject.toml").write_text(CORE.replace("dev =", "other ="), "utf-8")
    assert select(root).groups == ()


@pytest.mark.parametrize(("python", "fits"), [("3.9", False), ("3.12", True), ("3.13", False)])
def test_a_python_that_the_sources_do_not_support_is_one_line(
    root: Path, python: str, fits: bool
) -> None:
    if fits:
        select(root, python)
        return
    with pytest.raises(UsageError, match=rf"apache-airflow is for Python .*, not {python} "):
        select(root, python)


def test_a_provider_that_does_not_support_the_python_is_left_out(root: Path) -> None:
    narrow = PROVIDER.replace('version = "1.0"', 'version = "1.0"\nrequires-python = "!=3.12"')
    (root / "providers/standard/pyproject.toml").write_text(narrow, encoding="utf-8")
    selection = select(root, "3.12")
    name = "apache-airflow-providers-standard"
    assert [each.name for each in selection.unsupported] == [name]
    assert name not in selection.distributions
    assert select(root, "3.11").unsupported == ()
    with pytest.raises(UsageError, match=rf"{name} is for Python !=3\.12, not 3\.12"):
        select(root, "3.12", distributions=("airflow-core", name))


def test_an_unusable_range_of_pythons_is_one_line(root: Path) -> None:
    text = ROOT.replace(">=3.10,!=3.13", "new ones")
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="requires-python: 'new ones' is unusable"):
        select(root)


def test_a_folder_without_airflow_is_one_line(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": '[project]\nname = "other"\n'})
    with pytest.raises(UsageError, match="has no Airflow: expected the distribution"):
        select(tmp_path)
