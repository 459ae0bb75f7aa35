"""Unit tests cannot start a program: whatever tries fails the test."""

from __future__ import annotations

import os
import subprocess
from typing import NoReturn

import pytest


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
        if name.startswith(("AIRFLOW_IMAGES_", "DOCKER_", "BUILDX_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_IMAGES_CACHE", str(tmp_path_factory.mktemp("cache")))
