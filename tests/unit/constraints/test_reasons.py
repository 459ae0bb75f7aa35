"""Reasons for versions, from requirements and from the sentences of uv."""

from __future__ import annotations

import pytest

from build_tasks.constraints import reasons
from build_tasks.constraints.constraint_files import Change
from build_tasks.constraints.reasons import Explained
from build_tasks.constraints.workspace import Wanted

PINS = {"alembic": "1.20", "core": "3", "pandas": "2.1"}


@pytest.mark.parametrize(
    ("message", "name", "reason"),
    [
        (
            "Because alembic>=1.20 depends on sqlalchemy>=2.0 and core==3 depends on alembic==1.20",
            *("alembic", "alembic 1.20 wants sqlalchemy>=2.0"),
        ),
        (
            "all versions of a depend on b<1, so all versions of Core depend on Pytest>=8,<9, we",
            *("pytest", "core 3 wants Pytest>=8,<9"),
        ),
        (
            "Because pandas==2.1 depends on numpy{python_full_version == '3.11.*'}>=1.23.2,<2 and",
            *("numpy", "pandas 2.1 wants numpy>=1.23.2,<2"),
        ),
        ("we conclude that x==1 depends on y[extra]. And", *("y", "x wants y")),
        ("Because there is no version of z==9, we can conclude", "z", ""),
        ("a==1 depends on b==2", "c", ""),
    ],
)
def test_a_sentence_of_uv_is_the_reason_for_a_version(message: str, name: str, reason: str) -> None:
    assert reasons.stated(message, name, PINS) == reason


def test_a_message_of_uv_has_the_places_of_its_requirements() -> None:
    wanted = [
        Wanted("core: dependencies", "Kombu [redis] <6, >=5"),
        Wanted("core: dependencies", "free"),
        Wanted("sdk: dependencies", "kombu>=7; python_version > '3'"),
        Wanted("sdk: dependencies", "core==3"),
        Wanted("sdk: dependencies", "other<1"),
    ]
    message = "Because core==3 depends on kombu[redis]>=5,<6 and kombu>=7, we, free, other>=a."
    assert reasons.with_places(message, wanted, {"core"}) == (
        f"{message} (core: dependencies wants Kombu [redis] <6, >=5; sdk: dependencies wants "
        "kombu>=7; python_version > '3')"
    )
    assert reasons.with_places("No solution found", wanted, {"core"}) == "No solution found"
    many = [Wanted(f"p{number}", "kombu>=7") for number in range(9)]
    assert reasons.with_places(message, many, ()).endswith("; p4 wants kombu>=7)")


def test_a_change_without_a_reason_is_a_change_alone() -> None:
    change = Change("a", "1", "2")
    assert str(Explained(change, "b wants a>1")) == "  a 1 -> 2: b wants a>1"
    assert str(Explained(change, "")) == "  a 1 -> 2"
