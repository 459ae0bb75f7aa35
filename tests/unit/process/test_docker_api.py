from __future__ import annotations

from pathlib import Path

import pytest
from docker_socket import DockerApi

from build_tasks.process import docker_api as api


def test_the_api_is_asked_over_its_socket(docker_api: DockerApi, tmp_path: Path) -> None:
    docker_api.answers["/_ping"] = (200, "OK")
    assert api.get(docker_api.path, "/_ping", timeout=5) == (200, None)
    assert api.get(docker_api.path, "/other", timeout=5) == (404, {"message": "page not found"})
    with pytest.raises(OSError, match="No such file"):
        api.get(tmp_path / "nobody.sock", "/_ping", timeout=5)
