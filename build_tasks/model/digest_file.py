"""An image for one platform, pushed by digest, as a merge needs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DigestFile:
    """An image for one platform, pushed and not yet tagged.

    Args:
        identity: the build's name, like `prod-3.11-arm64`.
        image: the image's name without a tag.
        kind: which of Airflow's images it is.
        python: its Python.
        platform: its platform.
        slim: without extras.
        airflow: its release of Airflow.
        commit: the commit that it was built from; empty where there was none.
        digest: what the registry calls it; empty before it was pushed.
        file: where this is written down, None before it is.
    """

    identity: str
    image: str
    kind: str
    python: str
    platform: str
    slim: bool
    airflow: str
    commit: str
    digest: str = ""
    file: Path | None = None

    @property
    def reference(self) -> str:
        """What the registry finds it by."""
        return f"{self.image}@{self.digest}"
