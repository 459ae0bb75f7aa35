"""How Airflow gets into the PROD image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType


@dataclass(frozen=True)
class Installation:
    """How Airflow gets into the PROD image.

    Args:
        method: `release`, `wheels` or `sources`, as in the Dockerfile.
        version: the release of Airflow.
        constraints: the mode of the constraints files to follow.
        contexts: folders of named build contexts, by the stage that they replace.
    """

    method: str
    version: str
    constraints: str = "constraints"
    contexts: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))
