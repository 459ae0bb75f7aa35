"""Unit tests, but those of `process`, cannot start a program: whatever tries fails the test."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from docker_socket import DockerApi, serving

from build_tasks.plan import trust


@pytest.fixture(autouse=True)
def no_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*command: object, **_: object) -> NoReturn:
        pytest.fail(f"a unit test started a program: {command[:2]}")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    for name in ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system", "execve", "execv"):
        monkeypatch.setattr(os, name, refuse)


@pytest.fixture(autouse=True)
def bare_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name in list(os.environ):
        leading = ("AIRFLOW_IMAGES_", "DOCKER_", "BUILDX_", "GITHUB_", "GITLAB_", "UV_")
        if name.startswith(leading) or name in trust.OTHER_SYSTEMS:
            monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_IMAGES_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def docker_api(tmp_path: Path) -> Iterator[DockerApi]:
    """A Docker API on a socket."""
    with serving(tmp_path / "docker.sock") as api:
        yield api


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for the nightly run, unless `-m` asks for it."""
    if "nightly" not in config.option.markexpr:
        nightly = [item for item in items if item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=nightly)
        items[:] = [item for item in items if item not in nightly]
