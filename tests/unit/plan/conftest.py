"""A host with an engine that is never asked."""

from __future__ import annotations

import pytest

from build_tasks.buildx.toolchain import Client
from build_tasks.config import loading
from build_tasks.model.matrix import Names
from build_tasks.plan.build_host import BuildHost


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> BuildHost:
    """The engine's own builder, of the newest buildx."""
    monkeypatch.setattr(Client, "version", (0, 30))
    client = Client("docker", ("docker-buildx",), {"BUILDX_CONFIG": "/nowhere"})
    return BuildHost(client, loading.load({"platform": "amd64"}), Names("r", "a", "main"))
