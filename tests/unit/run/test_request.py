"""What options ask of a container."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tasks.config.options import Options
from build_tasks.errors import UsageError
from build_tasks.run import request
from build_tasks.run.request import Request


def test_nothing_is_asked_but_the_command() -> None:
    assert request.parse(Options({}), ("pytest",)) == Request(("pytest",))
    assert request.parse(Options({"command": ["a", "-b"]}), ("pytest",)) == Request(("a", "-b"))


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("8080", "127.0.0.1:8080:8080"),
        ("8080:80", "127.0.0.1:8080:80"),
        ("0.0.0.0:8080:80", "0.0.0.0:8080:80"),
        ("[::1]:8080", "[::1]:8080:8080"),
    ],
)
def test_a_port_is_published_on_the_loopback_interface_by_default(
    text: str, published: str
) -> None:
    assert request.parse(Options({"port": [text]}), ()).ports == (published,)


@pytest.mark.parametrize(
    "text",
    ["", "http", "0", "65536", "80:", "1:2:3", "localhost:80:80", "999.1.1.1:80", "[:::]:80"],
)
def test_another_port_is_a_mistake(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--port: expected a port like 8080, .*, got "):
        request.parse(Options({"port": [text]}), ())


def test_a_variable_has_a_value_or_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "secret")
    monkeypatch.delenv("NONE", raising=False)
    given = request.parse(Options({"env": ["A=b,c=d", "E=", "TOKEN"]}), ())
    assert given.environment == ("A=b,c=d", "E=", "TOKEN")
    with pytest.raises(UsageError, match=r"^--env: NONE is not set: set it, or write NONE=VALUE$"):
        request.parse(Options({"env": ["NONE"]}), ())
    with pytest.raises(UsageError, match=r"^--env: expected NAME, or NAME=VALUE, got '1'$"):
        request.parse(Options({"env": ["1=hidden"]}), ())


def test_a_file_or_folder_of_this_machine_is_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b").mkdir()
    given = request.parse(Options({"mount": ["a,b:/data", f"{tmp_path}:/x:ro"]}), ())
    assert given.mounts == (
        f'type=bind,"source={tmp_path}/a,b",target=/data',
        f"type=bind,source={tmp_path},target=/x,readonly",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data", "expected PATH:PATH_IN_THE_CONTAINER, with :ro for read-only, got 'data'"),
        (".:data", "expected PATH:PATH_IN_THE_CONTAINER, with :ro for read-only, got '.:data'"),
        ("/no/such:/x", "no such file or folder: /no/such"),
        (f"{'x' * 256}:/x", f"no such file or folder: {'x' * 256}"),
        (".:/", "nothing can be mounted at the root of a container: .:/"),
        (".:/a/..", "nothing can be mounted at the root of a container: .:/a/.."),
    ],
)
def test_another_mount_is_a_mistake(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        request.parse(Options({"mount": [text]}), ())
    assert str(caught.value) == f"--mount: {message}"
