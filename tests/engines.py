"""Embedded engines for tests that start none, by the names of their fields alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from build_tasks.engine.state import EmbeddedEngine

_ENGINE = EmbeddedEngine(
    docker=Path("d"),
    buildx=Path("b"),
    host="unix:///s",
    registry="r:1",
    hub=False,
    release="trixie",
    ca_bundle=None,
)


def make(**fields: Any) -> EmbeddedEngine:
    """Return an engine that has no Docker Hub, but for what is named."""
    return replace(_ENGINE, **fields)
