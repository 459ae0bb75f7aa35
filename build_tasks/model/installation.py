"""How Airflow gets into the PROD image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType


@dataclass(frozen=True)
class Installation:
    """How Airflow gets into the image.

    Args:
        method: `release`, `wheels` or `sources`, as the Dockerfile calls it.
        version: the release of Airflow that comes of it.
        constraints: the name of the constraints files to follow.
        contexts: folders that replace the Dockerfile's stages of these names.
    """

    method: str
    version: str
    constraints: str = "constraints"
    contexts: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))
