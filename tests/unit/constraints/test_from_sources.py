"""Constraints of a checkout, with a fake uv; tests/front_ends has the real one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from checkouts import CORE, PROVIDER, SDK, write

from build_tasks import process
from build_tasks.config import loading
from build_tasks.config.settings import Settings
from build_tasks.constraints import constraint_files, tree, workspace
from build_tasks.constraints.from_sources import Checkout
from build_tasks.constraints.resolver import Uv
from build_tasks.errors import DependencyError, UsageError
from build_tasks.model.matrix import ImageKind
from build_tasks.process import Command, Completed

ROOT = """\
[project]
name = "apache-airflow"
version = "3.3.2"
dependencies = ["apache-airflow-core==3.3.2"]
[project.optional-dependencies]
celery = ["apache-airflow-providers-celery>=3"]
google = ["apache-airflow-providers-google"]
[tool.uv.workspace]
members = ["airflow-core", "task-sdk", "providers/standard", "shared/logging"]
"""
PRIVATE = """\
[project]
name = "apache-airflow-shared-logging"
version = "1"
classifiers = ["Private :: Do Not Upload"]
"""
BEFORE = """\
# Made by `airflow-images constraints.generate`: Airflow 3.3.1 on Python 3.11.
apache-airflow==3.3.1
apache-airflow-core==3.3.1
gone==1
greenlet==2
kept==1
limited==9
pytest==7.4
sqlalchemy==1.4
"""
RESOLVED = """\
apache-airflow-providers-celery==3.9 # via apache-airflow
greenlet==3               # via sqlalchemy, -c limits.txt
kept==1
limited==1
opentelemetry-api==1
pytest==8.1
sqlalchemy==2.0           # via apache-airflow-core, alembic
"""
GREENLET = "all versions of sqlalchemy depend on greenlet{platform_machine == 'x86_64'}>=3, we can"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout."""
    folder = tmp_path / "airflow"
    write(
        folder,
        {
            "pyproject.toml": ROOT,
            "airflow-core/pyproject.toml": CORE,
            "task-sdk/pyproject.toml": SDK,
            "task-sdk/src/airflow/sdk/__init__.py": '__version__ = "1.3.2"\n',
            "providers/standard/pyproject.toml": PROVIDER,
            "shared/logging/pyproject.toml": PRIVATE,
        },
    )
    return folder


@pytest.fixture
def settings(root: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a project with constraints for Python 3.11."""
    project = root.parent / "project"
    write(
        project,
        {
            "images.toml": """\
                pythons = ["3.11"]
                [airflow]
                extras = ["google"]
                [ci]
                from = "../airflow"
                extras = ["celery"]
                test-packages = ["pytest>=8"]
                [constraints]
                limits = ["limited<2"]
                [dependencies]
                python = ["boto3"]
                """,
            "constraints/constraints-3.11.txt": BEFORE,
        },
    )
    return loading.load(environment={}, file=project / "images.toml")


class FakeUv:
    """Answers with given lines, and records what it was asked."""

    def __init__(self, answer: Callable[[str, list[str]], str]) -> None:
        self.answer = answer
        self.commands: list[Command] = []
        self.asked: list[str] = []
        self.limits: list[list[str]] = []
        self.present: list[str] = []

    def __call__(self, command: Command, *, input: str, **_: object) -> Completed:
        output = Path(command[command.index("--output-file") + 1])
        limits = Path(command[command.index("--constraints") + 1])
        self.commands.append(command)
        self.asked.append(input)
        self.limits.append(limits.read_text().splitlines())
        self.present.append(output.read_text() if output.exists() else "")
        if "<=" in input:  # which versions the index has
            text = input.replace("<=", "==").replace("-core==3.3.2", "-core==3.3.1")
        else:
            text = self.answer(input, self.limits[-1])
        if text.startswith("error: "):
            return Completed(command, 1, "", text)
        output.write_text(text)
        return Completed(command, 0, "", "")


@pytest.fixture
def uv(monkeypatch: pytest.MonkeyPatch) -> FakeUv:
    """A uv whose index lacks this version of Airflow's core."""

    def answer(asked: str, limits: list[str]) -> str:
        if "greenlet==2" in limits:
            return "error: No solution found\n  Because a depends on b and " + GREENLET
        return "sqlalchemy==2.0\n" if asked.count("\n") == 0 else RESOLVED

    fake = FakeUv(answer)
    monkeypatch.setattr(process, "run", fake)
    return fake


def checkout(settings: Settings, root: Path) -> Checkout:
    selection = tree.select(settings, workspace.read(root), "3.11")
    return Checkout("3.11", selection, settings, Uv({}))


def files(settings: Settings) -> Mapping[str, list[str]]:
    """Return the pins of each mode."""
    names = ("constraints", "constraints-no-providers", "constraints-source-providers")
    found = {}
    for name in names:
        file = constraint_files.own_path(settings.project, "3.11", name)
        constraint_files.check(file, "3.11", "3.3.2")
        found[name] = file.read_text().splitlines()[2:]
    return found


def test_the_modes_have_what_the_checkout_requires(
    settings: Settings, root: Path, uv: FakeUv
) -> None:
    messages: list[str] = []
    checkout(settings, root).generate(upgrade=False, announce=messages.append)
    airflow = ["apache-airflow-providers-celery==3.9", "apache-airflow-providers-standard==1.0"]
    others = [line.partition(" ")[0] for line in RESOLVED.splitlines()[1:]]
    assert files(settings) == {
        "constraints": [
            *("apache-airflow==3.3.2", *airflow, "apache-airflow-task-sdk==1.3.2", *others)
        ],
        "constraints-no-providers": [
            *("apache-airflow==3.3.2", "apache-airflow-task-sdk==1.3.2", "sqlalchemy==2.0")
        ],
        "constraints-source-providers": [airflow[0], *others],  # the checkout lacks the provider
    }
    assert messages == ["constraints/constraints-3.11.txt: 10 packages"]


def test_uv_gets_the_metadata_as_folders(settings: Settings, root: Path, uv: FakeUv) -> None:
    checkout(settings, root).generate(upgrade=False, announce=print)
    first, *lines = uv.asked[0].splitlines()
    folder = Path(first.removeprefix("-e ").partition("[")[0])
    assert first == f"-e {folder}[celery,google]"
    assert (folder / "task-sdk/src/airflow/sdk/__init__.py").read_text().startswith("__version__")
    assert lines == [
        *(f"-e {folder}/{name}" for name in ("airflow-core", "task-sdk", "providers/standard")),
        f"-e {folder}/shared/logging",
        *("apache-airflow-core[all]", "pytest>=8", "rich", "boto3", "pytest>=8"),
    ]
    assert uv.limits[0] == [
        "limited<2",
        f"apache-airflow @ {folder.as_uri()}",
        f"apache-airflow-core @ {folder.as_uri()}/airflow-core",
        f"apache-airflow-task-sdk @ {folder.as_uri()}/task-sdk",
        f"apache-airflow-providers-standard @ {folder.as_uri()}/providers/standard",
        f"apache-airflow-shared-logging @ {folder.as_uri()}/shared/logging",
    ]
    assert "sqlalchemy==2.0" in uv.limits[1]  # the other platform has the same versions
    words = " ".join(uv.commands[0])
    assert " --no-sources --annotate --annotation-style line --no-emit-package apache-air" in words
    assert "--no-emit-package apache-airflow-task-sdk" in words
    assert uv.asked[2] == f"-e {folder}"  # Airflow alone
    assert not [text for text in uv.asked if "shared-logging<=" in text]  # no index may have it


@pytest.mark.parametrize("upgrade", [False, True])
def test_present_versions_are_kept_where_they_fit_unless_upgraded(
    settings: Settings, root: Path, uv: FakeUv, upgrade: bool
) -> None:
    checkout(settings, root).generate(upgrade=upgrade, announce=print)
    assert ("sqlalchemy==1.4" in uv.present[0]) is not upgrade
    assert uv.present[2] == ""  # the pins of the first resolution hold


def test_each_change_says_who_wants_what(settings: Settings, root: Path, uv: FakeUv) -> None:
    changes = checkout(settings, root).generate(upgrade=False, announce=print)
    core = "airflow-core/pyproject.toml"
    assert [str(change).strip() for change in changes] == [
        "apache-airflow 3.3.1 -> 3.3.2: pyproject.toml has 3.3.2",
        f"- apache-airflow-core 3.3.1: {core} has 3.3.2, which the index lacks",
        "+ apache-airflow-providers-celery 3.9: pyproject.toml: optional-dependencies.celery wants "
        "apache-airflow-providers-celery>=3",
        "+ apache-airflow-providers-standard 1.0: providers/standard/pyproject.toml has 1.0",
        "+ apache-airflow-task-sdk 1.3.2: task-sdk/pyproject.toml has 1.3.2",
        "- gone 1: nothing wants it",
        "greenlet 2 -> 3: sqlalchemy 2.0 wants greenlet>=3",
        f"limited 9 -> 1: {settings.origins['constraints.limits']} wants limited<2",
        f"+ opentelemetry-api 1: {core}: optional-dependencies.otel wants opentelemetry-api>=1",
        f"pytest 7.4 -> 8.1: {core}: dependency-groups.dev wants pytest>=8",
        f"sqlalchemy 1.4 -> 2.0: {core}: dependencies wants sqlalchemy>=2",
    ]


@pytest.mark.parametrize("error", ["error: No solution found", "error: Failed to fetch"])
def test_what_requires_a_package_is_named_where_uv_does_not_say_what_excludes_the_old_version(
    settings: Settings, root: Path, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    def answer(_: str, limits: list[str]) -> str:
        return error if "greenlet==2" in limits else RESOLVED

    monkeypatch.setattr(process, "run", FakeUv(answer))
    changes = checkout(settings, root).generate(upgrade=False, announce=print)
    assert "  greenlet 2 -> 3: wanted by sqlalchemy 2.0" in [*map(str, changes)]


def test_upgraded_versions_are_not_asked_about(settings: Settings, root: Path, uv: FakeUv) -> None:
    changes = checkout(settings, root).generate(upgrade=True, announce=print)
    assert "  greenlet 2 -> 3: wanted by sqlalchemy 2.0" in [*map(str, changes)]
    assert not [limits for limits in uv.limits if "greenlet==2" in limits]


def test_a_change_without_a_known_reason_is_a_change_alone(
    settings: Settings, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "run", FakeUv(lambda *_: "alone==1\n"))
    changes = checkout(settings, root).generate(upgrade=True, announce=print)
    assert "+ alone 1" in [*map(str, changes)]


def test_no_solution_is_one_line_with_the_places(
    settings: Settings, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(asked: str, _: list[str]) -> str:
        folder = Path(asked.partition("[")[0].removeprefix("-e ")).as_uri()
        return (
            f"error: No solution found\n  cause: Because apache-airflow-core @ {folder}/x depends "
            "on\n  sqlalchemy[asyncio]>=2 and limited<2, and ruff>=a, apache-airflow-core==3.3.2"
        )

    monkeypatch.setattr(process, "run", FakeUv(answer))
    with pytest.raises(DependencyError) as caught:
        checkout(settings, root).generate(upgrade=False, announce=print)
    assert str(caught.value) == (
        "constraints-3.11: error: No solution found cause: Because apache-airflow-core @ "
        f"{root.as_uri()}/x depends on sqlalchemy[asyncio]>=2 and limited<2, and ruff>=a, "
        "apache-airflow-core==3.3.2 (airflow-core/pyproject.toml: dependencies wants "
        f"sqlalchemy>=2; {settings.origins['constraints.limits']} wants limited<2)"
    )
    assert constraint_files.path(settings.project, "3.11").read_text() == BEFORE


def test_an_error_without_a_known_requirement_is_that_of_uv(
    settings: Settings, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "run", FakeUv(lambda *_: "error: No solution found\n"))
    with pytest.raises(DependencyError, match=r"^constraints-3\.11: error: No solution found$"):
        checkout(settings, root).generate(upgrade=False, announce=print)


def test_a_baseline_has_what_its_image_gets_from_the_index(
    settings: Settings, root: Path, uv: FakeUv
) -> None:
    one = checkout(settings, root)
    one.generate(upgrade=False, announce=print)
    uv.asked.clear()
    uv.limits.clear()
    assert one.needed(ImageKind.CI)["sqlalchemy"] == "2.0"
    assert "[celery]\n" in uv.asked[0]
    assert uv.asked[0].endswith("\nboto3\npytest>=8")
    assert "kept==1" in uv.limits[0]
    assert "apache-airflow-task-sdk==1.3.2" not in uv.limits[0]
    one.needed(ImageKind.PROD)
    airflow, added = uv.asked[2].splitlines()
    assert (airflow[-8:], added) == ("[google]", "boto3")


def test_a_version_with_a_local_label_is_in_no_index(
    settings: Settings, root: Path, uv: FakeUv
) -> None:
    write(root, {"task-sdk/src/airflow/sdk/__init__.py": '__version__ = "1.4.0.dev0+g12"'})
    checkout(settings, root).generate(upgrade=False, announce=print)
    (asked,) = (text for text in uv.asked if "<=" in text)
    assert "apache-airflow-core<=3.3.2" in asked
    assert "task-sdk" not in asked


def test_a_part_of_the_checkout_may_be_without_airflow(
    settings: Settings, root: Path, uv: FakeUv
) -> None:
    values = {"ci.distributions": ("task-sdk",), "ci.groups": ()}
    part = Settings({**settings.values, **values}, settings.origins, settings.project)
    one = checkout(part, root)
    one.check()
    one.generate(upgrade=False, announce=print)
    assert uv.asked[0].splitlines()[0].endswith("/task-sdk")
    assert uv.asked[2].endswith("/task-sdk")
    one = checkout(part.replace({"ci.distributions": ("providers/standard",)}), root)
    one.needed(ImageKind.PROD)
    assert uv.asked[-1].splitlines() == ["apache-airflow==3.3.2", "boto3"]


def test_an_extra_that_the_checkout_lacks_is_one_line(settings: Settings, root: Path) -> None:
    wrong = settings.replace({"ci.extras": ("celry",)})
    with pytest.raises(UsageError, match="has no extra 'celry': did you mean celery"):
        checkout(wrong, root).check()
    checkout(settings, root).check()


def test_the_official_extras_of_airflow_2_are_left_out(settings: Settings, root: Path) -> None:
    write(root, {"pyproject.toml": ROOT.replace("3.3.2", "2.11.0"), "airflow-core/x": ""})
    (root / "airflow-core/pyproject.toml").unlink()
    origins = {**settings.origins, "airflow.extras": "default"}
    one = checkout(Settings(settings.values, origins, settings.project), root)
    assert one.selection.airflow == "2.11.0"
    assert one._extras(ImageKind.PROD) == ()
