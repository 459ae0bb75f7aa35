from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from checkouts import CORE, write

from build_tasks.commands import constraints
from build_tasks.config import loading
from build_tasks.config.options import Options
from build_tasks.constraints import baseline, constraint_files, extras
from build_tasks.constraints.constraint_files import Change
from build_tasks.constraints.from_sources import Checkout
from build_tasks.constraints.reasons import Explained
from build_tasks.errors import UsageError


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, object]]:
    """The steps of a resolution, which all succeed: each with its Python and what it upgrades."""
    done: list[tuple[str, str, object]] = []

    def record(name: str, python: str, **options: object) -> None:
        done.append((name, python, options.get("upgrade")))

    monkeypatch.setattr(extras, "refresh", lambda python, *_, **__: record("extras", python))
    monkeypatch.setattr(extras, "check", lambda _, python: record("check", python))
    monkeypatch.setattr(
        constraint_files, "generate", lambda python, *_, **given: record("pins", python, **given)
    )
    monkeypatch.setattr(baseline, "refresh", lambda python, *_, **__: record("baseline", python))
    return done


def test_the_baseline_follows_the_pins_of_its_python(steps: list[tuple[str, str, object]]) -> None:
    constraints.generate_constraints(Options({"python": "3.11", "upgrade": True}))
    assert steps == [
        ("extras", "3.11", None),
        ("check", "3.11", None),
        ("pins", "3.11", True),
        ("baseline", "3.11", None),
    ]


@pytest.mark.parametrize(
    "option",
    [{"ci-from": "x"}, {"ci-distributions": "x"}, {"ci-groups": "x"}, {"json": True}],
)
def test_an_option_of_sources_is_not_ignored(
    steps: list[tuple[str, str, object]], option: dict[str, str | bool]
) -> None:
    with pytest.raises(UsageError, match=rf"^--{next(iter(option))}: is for --from-sources: "):
        constraints.generate_constraints(Options({"python": "3.11", **option}))
    assert steps == []


def test_all_pythons_are_the_default(steps: list[tuple[str, str, object]]) -> None:
    constraints.generate_constraints(Options({}))
    assert tuple(dict.fromkeys(python for _, python, _ in steps)) == loading.load().pythons
    with pytest.raises(UsageError, match=r"^--python: unknown Python '3.8'"):
        constraints.generate_constraints(Options({"python": "3.8"}))


@pytest.fixture
def explained(monkeypatch: pytest.MonkeyPatch) -> list[Explained]:
    """What a resolution from sources changes."""
    changes = [Explained(Change("pytest", "9", "8"), "core wants pytest<9")]

    def generate(_: Checkout, *, upgrade: bool, announce: Callable[[str], None]) -> list[Explained]:
        announce(f"upgrade: {upgrade}")
        return changes

    monkeypatch.setattr(Checkout, "generate", generate)
    return changes


def resolve(sources: Path, **options: str | bool) -> None:
    """Resolve constraints of a checkout."""
    text = CORE.replace("[project]", '[project]\nrequires-python = ">=3.11"')
    write(sources, {"pyproject.toml": "", "airflow-core/pyproject.toml": text})
    write(sources, {"airflow-core/src/airflow/__init__.py": '__version__ = "3.3.2"'})
    given = {"from-sources": True, "ci-from": str(sources), "python": "3.11", **options}
    constraints.generate_constraints(Options(given))


def test_a_few_changes_from_sources_are_lines(
    tmp_path: Path,
    steps: list[tuple[str, str, object]],
    explained: list[Explained],
    capsys: pytest.CaptureFixture[str],
) -> None:
    resolve(tmp_path)
    assert steps == [("baseline", "3.11", None)]
    captured = capsys.readouterr()
    assert captured.out == "  pytest 9 -> 8: core wants pytest<9\n"
    assert captured.err == "upgrade: False\n"
    explained.clear()
    resolve(tmp_path, upgrade=True)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "upgrade: True\n")


@pytest.mark.usefixtures("steps")
def test_many_changes_from_sources_are_a_table(
    tmp_path: Path, explained: list[Explained], capsys: pytest.CaptureFixture[str]
) -> None:
    explained += [Explained(Change(f"p{number}", None, "1"), "a") for number in range(20)]
    resolve(tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["python", "package", "old", "new", "wanted", "by"]
    assert lines[1].split() == ["3.11", "pytest", "9", "8", "core", "wants", "pytest<9"]
    del explained[1:]
    resolve(tmp_path, python="3.11,3.12")
    pythons = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert pythons == ["python", "3.11", "3.12"]


@pytest.mark.usefixtures("steps", "explained")
def test_changes_from_sources_are_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    resolve(tmp_path, json=True)
    assert json.loads(capsys.readouterr().out) == [
        {
            "python": "3.11",
            "package": "pytest",
            "old": "9",
            "new": "8",
            "wanted": "core wants pytest<9",
        }
    ]


@pytest.mark.usefixtures("steps", "explained")
def test_all_pythons_are_checked_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=r"^--ci-from: apache-airflow-core is for Python >=3\.11"):
        resolve(tmp_path, python="3.11,3.10")
    assert capsys.readouterr().err == ""


def test_without_sources_there_is_nothing_to_resolve() -> None:
    with pytest.raises(UsageError, match=r"^--from-sources: ci\.from is release: set it to a fold"):
        constraints.generate_constraints(Options({"from-sources": True}))
