"""The image of one platform, pushed by digest, as a merge needs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DigestFile:
    """An image of one platform, pushed and not yet tagged.

    Args:
        identity: the build's name, like `prod-3.11-arm64`.
        image: the image's name without a tag.
        kind: the kind of image.
        python: its Python, as X.Y.
        platform: its platform.
        slim: whether it is without extras.
        airflow: its release of Airflow.
        commit: the commit that it was built from; empty if unknown.
        digest: its digest in the registry; empty before it was pushed.
        file: the file with this data, once written.
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
        """The image's reference, by digest."""
        return f"{self.image}@{self.digest}"
