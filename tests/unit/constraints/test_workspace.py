"""The distributions of a checkout, from their pyproject.toml files."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkouts import CORE, PROVIDER, SDK, write

from build_tasks import paths
from build_tasks.constraints import workspace
from build_tasks.errors import UsageError

MODULE = "src/airflow/providers/standard/__init__.py"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write(
        tmp_path,
        {
            "airflow-core/pyproject.toml": CORE,
            "airflow-core/hatch_build.py": "HOOK = 1\n",
            "airflow-core/README.md": "A long text.\n",
            "airflow-core/LICENSE": "A long license.\n",
            "airflow-core/licenses/a.txt": "Another one.\n",
            "airflow-core/src/airflow/__init__.py": '"""A."""\n__version__ = "3.3.2"\ncode = 1\n',
            "airflow-core/src/airflow/models.py": "code = 2\n",
            "task-sdk/pyproject.toml": SDK,
            "task-sdk/src/airflow/sdk/__init__.py": '__version__: str = "1.3.2"\ncode = 3\n',
            "providers/standard/pyproject.toml": PROVIDER,
            f"providers/standard/{MODULE}": '__version__ = "1.0"\n',
        },
    )
    return tmp_path


def test_distributions_are_found_in_the_folders_of_airflow_3(tree: Path) -> None:
    found = workspace.read(tree).distributions
    assert {name: each.folder for name, each in found.items()} == {
        "apache-airflow-core": "airflow-core",
        "apache-airflow-task-sdk": "task-sdk",
        "apache-airflow-providers-standard": "providers/standard",
    }


def test_the_members_of_a_workspace_are_those_that_it_lists(tree: Path) -> None:
    write(
        tree,
        {
            "pyproject.toml": """\
            [project]
            name = "apache-airflow"
            [tool.uv.workspace]
            members = [".", "./airflow-core", "providers/*", "dev/breeze", "nothing/*", "dev/x"]
            exclude = ["providers/excluded*", "dev/x"]
            """,
            "providers/excluded/pyproject.toml": "[project]\nname = 'excluded'\n",
        },
    )
    found = workspace.read(tree)
    assert [*found.distributions] == [
        *("apache-airflow", "apache-airflow-core", "apache-airflow-providers-standard")
    ]
    assert found.missing == ("dev/breeze",)


def test_a_distribution_is_found_by_its_name_or_folder(tree: Path) -> None:
    found = workspace.read(tree)
    for name in ("apache_airflow.core", "airflow-core", "airflow-core/"):
        assert found.find(name) is found.distributions["apache-airflow-core"]
    assert found.find("airflow") is None


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("task-sdk/pyproject.toml", "[project\n", "task-sdk/pyproject.toml: "),
        ("task-sdk/pyproject.toml", CORE, "apache-airflow-core is in "),
    ],
)
def test_what_cannot_be_used_is_one_line(tree: Path, file: str, text: str, message: str) -> None:
    write(tree, {file: text})
    with pytest.raises(UsageError, match=message) as raised:
        workspace.read(tree)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("place", ["members", "exclude"])
@pytest.mark.parametrize("pattern", ["/tmp/*", "/tmp", "../other", "../*", "a**", "a/../../b"])
def test_a_member_is_in_the_checkout(tree: Path, place: str, pattern: str) -> None:
    root = tree / "airflow-core"
    members = {"members": ["a"], place: [pattern]}
    lines = (f"{name} = {value}\n" for name, value in members.items())
    write(root, {"pyproject.toml": f"[tool.uv.workspace]\n{''.join(lines)}"})
    with pytest.raises(UsageError, match=r"airflow-core/pyproject.toml: tool.uv.workspace: '"):
        workspace.read(root)


@pytest.mark.parametrize(
    "text",
    [
        'readme = "../../README"',
        "readme = '/README'",
        "readme = { file = '../../README' }",
        'readme = "a\\u0000b"',
        'license = { file = "../../LICENSE" }',
        'license-files = ["/LICENSE"]',
        'license-files = ["../../*"]',
        'license-files = [""]',
        'license-files = { globs = ["a**"] }',
        'tool.hatch.build.hooks.custom.path = "../../secret"',
        "tool.hatch.build.hooks.custom.path = 'link'",
        'tool.hatch.version.path = "../../secret"',
        "tool.hatch.version.path = 'link'",
        'tool.hatch.build.targets.wheel.packages = ["../.."]',
    ],
)
def test_no_file_from_outside_of_the_checkout_enters_a_build(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"secret": "version = '1'", "LICENSE": ""})
    root = tmp_path / "checkout"
    key = text if text.startswith("tool") else f"project.{text}"
    write(root, {"core/pyproject.toml": f"project.name = 'x'\n{key}\n"})
    write(root, {"pyproject.toml": "tool.uv.workspace.members = ['core']"})
    (root / "core/link").symlink_to(tmp_path / "secret")
    found = workspace.read(root)
    with pytest.raises(UsageError, match=r"^core/pyproject.toml: ") as raised:
        workspace.metadata_files(root, found.distributions.values())
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        *("project.dynamic = 3", "project.classifiers = 3", "project.license-files.globs = 3"),
        *("project.license-files = 'x'", "project.readme = ''", "project.readme = 'src'"),
        *("project.readme = 'pyproject.toml/x'", "tool.hatch.build.targets.wheel.packages = 3"),
        *("project.license-files = ['src', 'src/*']", "dependency-groups = 3"),
        *("tool.flit.module.name = 3", "tool.uv.workspace.exclude = 3", "tool.uv.workspace = 3"),
    ],
)
def test_metadata_of_another_form_is_left_to_the_build_backend(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"pyproject.toml": f"project.name = 'x'\n{text}\n", "src/x/__init__.py": ""})
    found = workspace.read(tmp_path)
    own = found.distributions["x"]
    assert workspace.requirements(found.distributions) == []
    assert workspace.version(tmp_path, own) == ""
    assert not own.classifiers
    assert paths.keep("metadata", workspace.metadata_files(tmp_path, [own])).is_dir()


def test_requirements_follow_groups_and_extras_and_have_their_places(tree: Path) -> None:
    found = workspace.read(tree)
    core = found.distributions["apache-airflow-core"]
    wanted = workspace.requirements(found.distributions, [(core, "dev")])
    place = "airflow-core/pyproject.toml: "
    assert wanted == [
        (f"{place}dependencies", "sqlalchemy>=2"),
        (f"{place}dependencies", "apache-airflow-task-sdk==1.3.2"),
        (f"{place}dependency-groups.dev", "apache-airflow-core[all]"),
        (f"{place}dependency-groups.dev", "pytest>=8"),
        (f"{place}dependency-groups.dev", "rich"),
        (f"{place}optional-dependencies.all", "apache-airflow-core[otel]"),
        (f"{place}optional-dependencies.otel", "opentelemetry-api>=1"),
    ]


def test_extras_are_requirements_where_they_are_asked_for(tree: Path) -> None:
    found = workspace.read(tree)
    core = found.distributions["apache-airflow-core"]
    wanted = workspace.requirements(found.distributions, extras=[(core, "otel")])
    assert wanted[-1].text == "opentelemetry-api>=1"


def test_a_group_that_includes_an_unknown_one_is_one_line(tree: Path) -> None:
    core = workspace.read(tree).distributions["apache-airflow-core"]
    with pytest.raises(UsageError, match=r"airflow-core/pyproject.toml: dependency-groups.broken:"):
        workspace.group_requirements(core, "broken")


def test_build_backends_get_metadata_and_no_code(tree: Path) -> None:
    found = workspace.read(tree)
    files = workspace.metadata_files(tree, found.distributions.values())
    assert files == {
        "airflow-core/pyproject.toml": CORE.encode(),
        "airflow-core/hatch_build.py": b"HOOK = 1\n",
        "airflow-core/src/airflow/__init__.py": b"'A.'\n__version__ = \"3.3.2\"\n",
        "airflow-core/README.md": b"",
        "airflow-core/LICENSE": b"",
        "airflow-core/licenses/a.txt": b"",
        "task-sdk/pyproject.toml": SDK.encode(),
        "task-sdk/src/airflow/sdk/__init__.py": b'__version__: str = "1.3.2"\n',
        "providers/standard/pyproject.toml": PROVIDER.encode(),
        "providers/standard/src/airflow/providers/standard/__init__.py": b'__version__ = "1.0"\n',
    }


def test_an_edited_module_or_readme_changes_no_metadata(tree: Path) -> None:
    found = workspace.read(tree)
    before = workspace.metadata_files(tree, found.distributions.values())
    write(
        tree,
        {
            "airflow-core/README.md": "Another text.\n",
            "airflow-core/src/airflow/__init__.py": '"""A."""\n__version__ = "3.3.2"\nmore = 1\n',
            "airflow-core/src/airflow/models.py": "code = 4\n",
            "airflow-core/src/airflow/new.py": "",
        },
    )
    assert workspace.metadata_files(tree, found.distributions.values()) == before


def test_requirements_that_a_hook_makes_bring_its_files(tree: Path) -> None:
    write(
        tree,
        {
            "pyproject.toml": """\
            [project]
            name = "apache-airflow"
            dynamic = ["version", "dependencies", "optional-dependencies"]
            license-files.globs = ["LICENSE"]
            license = { file = "LICENSE" }
            readme = "README.md"
            [tool.hatch.version]
            path = "airflow/__init__.py"
            [tool.hatch.build.hooks.custom]
            path = "hatch_build.py"
            [tool.uv.workspace]
            members = []
            """,
            "hatch_build.py": "HOOK = 2\n",
            "LICENSE": "text",
            "generated/provider_dependencies.json": "{}",
            "airflow/__init__.py": '__version__ = "2.11.0"\n',
        },
    )
    found = workspace.read(tree)
    airflow = found.distributions["apache-airflow"]
    assert airflow.extras is None
    assert workspace.version(tree, airflow) == "2.11.0"
    assert workspace.metadata_files(tree, [airflow]).keys() == {
        *("pyproject.toml", "hatch_build.py", "generated/provider_dependencies.json"),
        *("airflow/__init__.py", "LICENSE", "README.md"),
    }


def test_a_version_is_in_the_metadata_or_in_a_module(tree: Path) -> None:
    found = workspace.read(tree)
    versions = {name: workspace.version(tree, each) for name, each in found.distributions.items()}
    assert versions == {
        "apache-airflow-core": "3.3.2",
        "apache-airflow-task-sdk": "1.3.2",
        "apache-airflow-providers-standard": "1.0",
    }
    (tree / "task-sdk/src/airflow/sdk/__init__.py").write_text("", encoding="utf-8")
    assert not workspace.version(tree, found.distributions["apache-airflow-task-sdk"])


def test_an_unusable_requirement_is_one_line_with_its_place(tree: Path) -> None:
    write(
        tree, {"task-sdk/pyproject.toml": SDK.replace("dynamic", 'dependencies = ["a b"]\ndynamic')}
    )
    found = workspace.read(tree)
    with pytest.raises(
        UsageError, match=r"task-sdk/pyproject.toml: dependencies: 'a b': "
    ) as raised:
        workspace.requirements(found.distributions)
    assert "\n" not in str(raised.value)
