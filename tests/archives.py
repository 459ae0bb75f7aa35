"""Archives as `docker save` writes them."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

#: Compresses little, so that a file is longer than what is read at once.
LAYER = "".join(f"what a layer has {number**7}" for number in range(2000)).encode()


def make(reference: str, config: dict[str, Any] | None = None, **members: bytes) -> bytes:
    """Return an archive with one layer, whose JSON files are at its end."""
    manifest = [{"Config": "blobs/sha256/c", "RepoTags": [reference], "Layers": ["blobs/sha256/l"]}]
    content = {
        "blobs/sha256/c": json.dumps(config or {}).encode(),
        "blobs/sha256/l": LAYER,
        "manifest.json": json.dumps(manifest).encode(),
        **members,
    }
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return output.getvalue()
