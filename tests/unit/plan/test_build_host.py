"""Base images of a host."""

from __future__ import annotations

import engines
import pytest

from build_tasks.buildx.toolchain import Client
from build_tasks.config import loading
from build_tasks.engine import stand_ins
from build_tasks.engine.state import EmbeddedEngine
from build_tasks.errors import EngineError
from build_tasks.model.matrix import Names, Platform
from build_tasks.plan import build_host
from build_tasks.plan.build_host import Base, BuildHost

ENGINE = engines.make()


def found(*pythons: str, dry: bool = False, base: str | None = None) -> dict[str, Base]:
    chosen = loading.load({"base-image": base})
    here = BuildHost(Client("d", ("b",), {}, ENGINE), chosen, Names("r", "a", "main"))
    return build_host.base_images(here, pythons, (Platform.AMD64,), print, dry=dry)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stand-ins that are made; that of 3.13 fails."""
    done: list[str] = []

    def ensure(engine: EmbeddedEngine, python: str, *_: object) -> str:
        done.append(python)
        if python == "3.13":
            raise EngineError("no mirror")
        return stand_ins.python_reference(engine, python)

    monkeypatch.setattr(stand_ins, "ensure_python", ensure)
    return done


def test_missing_base_does_not_prevent_the_others(made: list[str]) -> None:
    bases = found("3.9", "3.10", "3.9", "3.11", "3.13")
    assert made == ["3.9", "3.11", "3.13"]
    assert bases["3.9"] == Base("r:1/debian-python:3.9")
    assert "Debian released" in str(bases["3.10"].error)
    assert bases["3.11"].error is None
    assert str(bases["3.13"].error) == "no mirror"


def test_error_if_no_base_is_available(made: list[str]) -> None:
    with pytest.raises(EngineError, match=r"no base image for Python 3\.10"):
        found("3.10", "3.12")
    assert made == []


def test_dry_run_makes_no_base(made: list[str]) -> None:
    assert found("3.11", dry=True) == {"3.11": Base("r:1/debian-python:3.11")}
    assert made == []


def test_configured_base_is_used(made: list[str]) -> None:
    assert found("3.10", base="x:{python}") == {"3.10": Base("x:3.10")}
