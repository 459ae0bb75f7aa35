"""What base.check and base.update print, and how they end."""

from __future__ import annotations

import json

import pytest

from build_tasks.buildx.toolchain import Client
from build_tasks.check import base_images as feature
from build_tasks.check.base_images import BaseFinding
from build_tasks.commands import base_images
from build_tasks.config.options import Options
from build_tasks.config.settings import Settings
from build_tasks.errors import ImagesError, MissingImage, NetworkError, SeveralErrors, UsageError
from build_tasks.inputs.base_lock import LockedBase
from build_tasks.model.matrix import Names
from build_tasks.plan import build_host
from build_tasks.plan.build_host import BuildHost

CURRENT = BaseFinding("3.11", "b@1", "b@1")
MOVED = BaseFinding("3.12", "b@1", "b@2")
NEW = BaseFinding("3.13", now="b@1")
UNKNOWN = BaseFinding("3.14", "b@1", problem="no answer")


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(settings: Settings, *, start: bool, announce: object) -> BuildHost:
        assert start
        assert not settings.locked  # or what is locked would be compared with itself
        client = Client("docker", ("buildx",), {})
        return BuildHost(client, settings, Names("r", "a", "main"))

    monkeypatch.setattr(build_host, "find", find)


def check(monkeypatch: pytest.MonkeyPatch, *found: BaseFinding, **options: str | bool) -> list[str]:
    """Run base.check with what is found, and return the Pythons that it was asked for."""
    asked = list[str]()

    def answer(_: BuildHost, pythons: list[str], announce: object) -> list[BaseFinding]:
        asked.extend(pythons)
        return [*found]

    monkeypatch.setattr(feature, "check", answer)
    base_images.check_base_images(Options({"locked": True, **options}))
    return asked


def test_what_is_found_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(monkeypatch, CURRENT, MOVED, python="3.11,3.12") == ["3.11", "3.12"]
    shown = capsys.readouterr().out.splitlines()
    assert shown[:2] == ["3.11: as locked: b@1", "3.12: moved: b@1 -> b@2"]
    assert len(check(monkeypatch, UNKNOWN, json=True)) == 6
    (data,) = json.loads(capsys.readouterr().out)
    assert (data["python"], data["problem"], data["current"]) == ("3.14", "no answer", False)


@pytest.mark.parametrize(
    ("found", "code"),
    [((CURRENT,), 0), ((CURRENT, MOVED, UNKNOWN), 13), ((NEW,), 13), ((CURRENT, UNKNOWN), 4)],
)
def test_only_fail_makes_a_failure(
    monkeypatch: pytest.MonkeyPatch, found: tuple[BaseFinding, ...], code: int
) -> None:
    check(monkeypatch, *found)
    if not code:
        check(monkeypatch, *found, fail=True)
        return
    with pytest.raises(ImagesError) as caught:
        check(monkeypatch, *found, fail=True)
    assert caught.value.exit_code == code


@pytest.mark.parametrize(
    "errors", [[], [NetworkError("a")], [NetworkError("a"), MissingImage("b")]]
)
def test_what_is_locked_is_printed_before_the_errors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], errors: list[ImagesError]
) -> None:
    locked = {"3.11": LockedBase("b:1", "sha256:1", {"linux/amd64": "sha256:2"})}
    monkeypatch.setattr(feature, "update", lambda *_: (locked, errors))
    if errors:
        with pytest.raises(SeveralErrors if len(errors) > 1 else NetworkError):
            base_images.update_base_images(Options({"json": True}))
    else:
        base_images.update_base_images(Options({"json": True}))
    assert json.loads(capsys.readouterr().out) == {
        "3.11": {"base": "b:1@sha256:1", "platforms": ["linux/amd64"]}
    }


def test_an_unknown_python_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^--python: unknown Python '3\.1'"):
        base_images.update_base_images(Options({"python": "3.1"}))
