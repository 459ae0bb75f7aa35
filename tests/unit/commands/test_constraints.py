from __future__ import annotations

import pytest

from build_tasks.commands import constraints
from build_tasks.config import loading
from build_tasks.config.options import Options
from build_tasks.constraints import baseline, constraint_files, extras
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


def test_all_pythons_are_the_default(steps: list[tuple[str, str, object]]) -> None:
    constraints.generate_constraints(Options({}))
    assert tuple(dict.fromkeys(python for _, python, _ in steps)) == loading.load().pythons
    with pytest.raises(UsageError, match=r"^--python: unknown Python '3.8'"):
        constraints.generate_constraints(Options({"python": "3.8"}))
