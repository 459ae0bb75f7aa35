"""Where the front ends are tried."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from fake_docker import FAKE, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "bin").mkdir()
    plugins = tmp_path / "docker-config" / "cli-plugins"
    plugins.mkdir(parents=True)
    for program in (tmp_path / "bin" / "docker", plugins / "docker-buildx"):
        program.write_text(FAKE)
        program.chmod(0o755)
    info = {
        "ServerVersion": "28.5.2",
        "Architecture": "x86_64",
        "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
    }
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW_IMAGES_", "DOCKER_", "BUILDX_", "GITHUB_", "NOX", "CI_"))
    }
    environment |= {
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "AIRFLOW_IMAGES_CACHE": str(tmp_path / "cache"),
        "DOCKER_CONFIG": str(tmp_path / "docker-config"),
        "DOCKER_HOST": f"unix://{tmp_path}/no.sock",
        "FAKE_LOG": str(tmp_path / "log"),
        "FAKE_INFO": json.dumps(info),
        "FAKE_METADATA": "{}",
        "NOX_SCRIPT_MODE": "none",
        "NO_COLOR": "1",
        "COLUMNS": "300",
    }
    return Bench(tmp_path, environment)
