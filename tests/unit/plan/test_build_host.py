"""Base images of a host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import engines
import projects
import pytest

from build_tasks.buildx import imagetools
from build_tasks.buildx.imagetools import Index
from build_tasks.buildx.toolchain import Client
from build_tasks.config import loading
from build_tasks.config.settings import Settings
from build_tasks.engine import stand_ins
from build_tasks.engine.state import EmbeddedEngine
from build_tasks.errors import EngineError, MissingImage, UsageError
from build_tasks.inputs import base_lock
from build_tasks.inputs.base_lock import LockedBase
from build_tasks.model.matrix import Names, Platform
from build_tasks.plan import build_host
from build_tasks.plan.build_host import Base, BuildHost

ENGINE = engines.make()
DIGEST = f"sha256:{'1' * 64}"


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


@pytest.fixture
def locked(tmp_path: Path) -> Callable[..., dict[str, Base]]:
    """The base images of a project whose base.lock has Python 3.11 for amd64."""
    base = LockedBase("python:3.11-slim-bookworm", DIGEST, {"linux/amd64": DIGEST})
    stand_in = LockedBase("r:1/debian-python:3.9", DIGEST, {"linux/amd64": DIGEST})
    base_lock.write(tmp_path, {"3.11": base, "3.9": stand_in})

    def find(python: str, *platforms: Platform, **options: str) -> dict[str, Base]:
        loaded = loading.load({"locked": True, **options})
        settings = Settings(loaded.values, loaded.origins, projects.at(tmp_path))
        here = BuildHost(Client("d", ("b",), {}, ENGINE), settings, Names("r", "a", "main"))
        return build_host.base_images(
            here, [python], platforms or (Platform.AMD64,), print, dry=False
        )

    return find


def test_locked_bases_are_those_of_the_file_alone(
    made: list[str], locked: Callable[..., dict[str, Base]]
) -> None:
    found = locked("3.11")["3.11"]
    assert found == Base("python:3.11-slim-bookworm", digest=DIGEST)
    assert found.pinned == f"python:3.11-slim-bookworm@{DIGEST}"
    assert locked("3.9")["3.9"].reference == "r:1/debian-python:3.9"
    assert made == []


@pytest.mark.parametrize(
    ("python", "platforms", "options", "message"),
    [
        ("3.12", (), {}, "--locked: base.lock has 3.9, 3.11, not 3.12: run: "),
        ("3.11", (Platform.AMD64, Platform.ARM64), {},
         "--locked: base.lock has Python 3.11 for linux/amd64, not for linux/arm64: run: "),
        ("3.11", (), {"base-image": "x:{python}"},
         "--locked: base.lock has python:3.11-slim-bookworm for Python 3.11, not x:3.11 "
         "(base.image, --base-image): run: "),
        ("3.9", (), {"base-image": "x:{python}"},
         "--locked: base.lock has r:1/debian-python:3.9 for Python 3.9, not x:3.9 "
         "(base.image, --base-image): run: "),
    ],
)  # fmt: skip
def test_what_is_not_locked_is_no_base(
    locked: Callable[..., dict[str, Base]],
    python: str,
    platforms: tuple[Platform, ...],
    options: dict[str, str],
    message: str,
) -> None:
    with pytest.raises(UsageError) as caught:
        locked(python, *platforms, **options)
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith(f"base.update --python {python}")


def test_platforms_stand_on_the_index_that_a_tag_has_now(
    host: BuildHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def index(_: Client, reference: str, builder: str) -> Index:
        asked.append((reference, builder))
        if reference == "gone:1":
            raise MissingImage("gone")
        return Index(digest=DIGEST)

    monkeypatch.setattr(imagetools, "index", index)
    error = Base("none:1", EngineError("none"))
    bases = {"3.9": Base("a:1"), "3.10": Base("gone:1"), "3.11": error, "3.12": Base(f"b@{DIGEST}")}
    pinned = build_host.pin(host, bases)
    assert pinned == {**bases, "3.9": Base("a:1", digest=DIGEST)}
    assert sorted(asked) == [("a:1", "default"), ("gone:1", "default")]


def test_no_base_is_pinned_where_each_dockerfile_names_its_own(host: BuildHost) -> None:
    assert build_host.pin(host, {}) == {}
