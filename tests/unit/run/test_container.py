"""The container of a developer."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import engines
import pytest

from build_tasks import process
from build_tasks.buildx import containers, docker
from build_tasks.buildx.containers import Foreground
from build_tasks.buildx.toolchain import Client
from build_tasks.config import loading
from build_tasks.errors import EngineError, RunError, UsageError
from build_tasks.model.matrix import Build, ImageKind, Names, Platform
from build_tasks.plan.build_host import BuildHost
from build_tasks.run import container
from build_tasks.run.request import Request

CI = Build(ImageKind.CI, "3.11", Platform.AMD64)
PROD = Build(ImageKind.PROD, "3.11", Platform.AMD64)
REFERENCE = "r:5000/a/ci/python3.11:x"
HOME = {"Env": ["HOME=/home/airflow", "MYPY_CACHE_DIR=/mypy"], "Entrypoint": ["/usr/bin/dumb-init"]}
CLIENT = Client("docker", ("b",), {}, engines.make())


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller is the user 1000, without a terminal and without input."""
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(process, "on_terminal", lambda: False)
    monkeypatch.setattr(process, "has_input", lambda: False)
    monkeypatch.setenv("TERM", "xterm-256color")


def describe(
    monkeypatch: pytest.MonkeyPatch,
    config: dict[str, Any] | None,
    client: Client = CLIENT,
    sources: Path | None = None,
    asked: Request = Request(("pytest",)),  # noqa: B008 - it is frozen
) -> Foreground:
    facts = None if config is None else {"Config": config}
    monkeypatch.setattr(docker, "image", lambda *_, **__: facts)
    return container.describe(host(client), CI, REFERENCE, sources, asked)


def host(client: Client = CLIENT) -> BuildHost:
    return BuildHost(client, loading.load({}, environment={}), Names("r:5000", "a", "main"))


def test_a_ci_image_gets_the_callers_id_a_home_and_the_sources(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = Request(("pytest", "x"), ("A=1",), ("type=bind,source=/a,target=/b",), ("p",))
    made = describe(monkeypatch, HOME, sources=Path("/mine"), asked=asked)
    assert re.fullmatch(r"airflow-images-ci-3\.11-amd64-[0-9a-f]{8}", made.name)
    volume, *mounts = made.mounts
    assert replace(made, name="", mounts=()) == Foreground(
        *(REFERENCE, "linux/amd64", "", "1000:0"),
        labels=("airflow-images.run=ci-3.11-amd64",),
        environment=(
            "PYTEST_ADDOPTS=--override-ini=cache_dir=/home/airflow/.cache/pytest",
            "RUFF_CACHE_DIR=/home/airflow/.cache/ruff",
            "AIRFLOW__CORE__DAGS_FOLDER=/opt/airflow/dags",
            "AIRFLOW__CORE__PLUGINS_FOLDER=/opt/airflow/plugins",
            "A=1",
        ),
        ports=("p",),
        folder="/opt/airflow",
        command=("pytest", "x"),
    )
    assert mounts == ["type=bind,source=/mine,target=/opt/airflow", *asked.mounts]
    assert re.fullmatch(
        r"type=volume,source=airflow-images-ci-3\.11-amd64-1000-[0-9a-f]{8},target=/home/airflow,"
        "volume-label=airflow-images.home=r:5000/a/ci/python3.11",
        volume,
    )


def test_a_checkout_is_told_nothing_of_the_folders_of_a_project(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(docker, "image", lambda *_, **__: {"Config": HOME})
    checkout = host()
    of_checkout = checkout.settings.replace({"ci.from": "/checkout", "sources": "mount"})
    checkout = replace(checkout, settings=of_checkout)
    made = container.describe(checkout, CI, REFERENCE, Path("/checkout"), Request())
    assert not any(text.startswith("AIRFLOW__") for text in made.environment)


def test_each_image_and_user_has_a_home_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = describe(monkeypatch, HOME).mounts
    (again,) = describe(monkeypatch, HOME).mounts
    monkeypatch.setattr(os, "getuid", lambda: 1001)
    (other,) = describe(monkeypatch, HOME).mounts
    assert first == again != other


@pytest.mark.parametrize(
    "home", [[], ["HOME=/"], ["HOME=/opt"], ["HOME=/opt/airflow"], ["HOME=/opt/airflow/h"]]
)
def test_a_home_with_the_sources_in_it_or_among_them_is_no_volume(
    monkeypatch: pytest.MonkeyPatch, home: list[str]
) -> None:
    made = describe(monkeypatch, {"Env": home})
    assert (made.mounts, made.environment) == ((), ())


def test_a_prod_image_is_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "image", lambda *_, **__: {"Config": HOME})
    made = container.describe(host(), PROD, REFERENCE, None, Request())
    assert (made.mounts, made.environment, made.folder) == ((), (), "")


@pytest.mark.parametrize(
    ("entrypoint", "init"),
    [(["/usr/bin/dumb-init", "--", "/entrypoint"], False), (["/entrypoint"], True), (None, True)],
)
def test_an_image_without_an_init_process_gets_one(
    monkeypatch: pytest.MonkeyPatch, entrypoint: list[str] | None, init: bool
) -> None:
    assert describe(monkeypatch, {"Entrypoint": entrypoint}).init is init


@pytest.mark.parametrize(
    ("terminal", "piped", "expected"),
    [(True, False, (True, True)), (False, True, (True, False)), (False, False, (False, False))],
)
def test_it_has_the_callers_terminal_or_input(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, piped: bool, expected: tuple[bool, bool]
) -> None:
    monkeypatch.setattr(process, "on_terminal", lambda: terminal)
    monkeypatch.setattr(process, "has_input", lambda: piped)
    made = describe(monkeypatch, HOME)
    assert (made.stdin, made.terminal) == expected
    assert ("TERM" in made.environment) is terminal


def test_a_variable_of_the_options_is_not_set_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    made = describe(monkeypatch, HOME, asked=Request(environment=("PYTEST_ADDOPTS=-q",)))
    assert made.environment == ("RUFF_CACHE_DIR=/home/airflow/.cache/ruff", "PYTEST_ADDOPTS=-q")


def test_the_caller_is_root_in_the_containers_of_a_rootless_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Client("docker", ("b",), {})
    client.__dict__["facts"] = {"SecurityOptions": ["name=seccomp", "name=rootless"]}
    assert describe(monkeypatch, HOME, client=client).user == "0:0"


def test_what_the_engine_lacks_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match=f"^{REFERENCE}: the engine does not have it$"):
        describe(monkeypatch, None)


def ended(monkeypatch: pytest.MonkeyPatch, status: int, *, started: bool = True) -> None:
    @contextlib.contextmanager
    def attached(*_: object, **__: object) -> Iterator[int]:
        yield status

    monkeypatch.setattr(process, "attached", attached)
    monkeypatch.setattr(containers, "started", lambda *_: started)
    container.run(CLIENT, Foreground("i", "linux/amd64", "n", "0:0", command=("pytest", "x")))


def test_the_exit_code_is_the_commands_unless_it_has_not_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended(monkeypatch, 0)
    for status in (5, 125, 127):
        with pytest.raises(RunError, match=f"^pytest exited with code {status}$") as caught:
            ended(monkeypatch, status)
        assert caught.value.exit_code == status
    with pytest.raises(EngineError, match=r"^docker was ended by SIGKILL$"):
        ended(monkeypatch, -9)
    with pytest.raises(EngineError, match=r"^i: the container did not start, see above$"):
        ended(monkeypatch, 125, started=False)


def test_the_sources_to_mount_are_a_folder(tmp_path: Path) -> None:
    def sources(kind: ImageKind = ImageKind.CI, **options: str) -> Path | None:
        given = {name.replace("_", "-"): text for name, text in options.items()}
        settings = loading.load(given, environment={}, file=tmp_path / "images.toml")
        return container.mounted_sources(settings, kind, print)

    (tmp_path / "images.toml").touch()
    assert sources() is None
    assert sources(ImageKind.PROD, sources="mount") is None
    with pytest.raises(UsageError, match=f"^--sources: there is no folder to mount: {tmp_path}/s"):
        sources(sources="mount")
    (tmp_path / "sources").mkdir()
    assert sources(sources="mount") == tmp_path / "sources"
    assert sources(sources="mount", ci_from=str(tmp_path)) == tmp_path
    with pytest.raises(UsageError, match=r"^--ci-from: there is no folder '/no/such'"):
        sources(sources="mount", ci_from="/no/such")
    with pytest.raises(UsageError, match=r"^--ci-from: the sources to mount are a folder, not git"):
        sources(sources="mount", ci_from="git+https://h/a@main")
