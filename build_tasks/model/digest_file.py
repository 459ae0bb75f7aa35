"""The digest of an image for one platform, from which a multi-platform image is merged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from build_tasks.model.matrix import Build


@dataclass(frozen=True)
class DigestFile:
    """An image for one platform that was pushed by digest, without a tag.

    Args:
        build: the image, its Python and its platform.
        image: the name of the image without a tag.
        airflow: its Airflow version.
        commit: the commit that it was built from, or "".
        digest: its digest in the registry; empty before it was pushed.
        file: the file that records the digest, None before it was written.
    """

    build: Build
    image: str
    airflow: str
    commit: str
    digest: str = ""
    file: Path | None = None

    @property
    def identity(self) -> str:
        """The name of the build."""
        return self.build.identity

    @property
    def reference(self) -> str:
        """The image by its digest."""
        return f"{self.image}@{self.digest}"
