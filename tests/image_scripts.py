"""Scripts of the PROD image, as its Dockerfile has them."""

from __future__ import annotations

import re
from pathlib import Path

DOCKERFILE = Path(__file__).resolve().parents[1] / "Dockerfile"


def script(path: str) -> str:
    """Return the script that the Dockerfile copies to a path of the image."""
    found = re.search(
        rf'^COPY .*<<"EOF" {path}\n(.*?\n)EOF$', DOCKERFILE.read_text(), re.DOTALL | re.MULTILINE
    )
    assert found, path
    return found[1]
