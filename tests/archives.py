"""Archives as `docker save` writes them, and wheels."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
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


def wheel(
    file: Path,
    *extras: str,
    requires: Sequence[str] = (),
    scripts: Mapping[str, str | bytes] | None = None,
    files: Mapping[str, str | bytes] | None = None,
) -> Path:
    """Write a wheel of the name and version in its file name, with metadata, scripts and files."""
    name, version, *_ = file.name.split("-")
    plain = name.replace("_", "-")
    headers = [f"Metadata-Version: 2.1\nName: {plain}\nVersion: {version}"]
    headers += [f"Provides-Extra: {extra}" for extra in extras]
    headers += [f"Requires-Dist: {text}" for text in requires]
    folder = f"{name}-{version}.dist-info"
    content: dict[str, str | bytes] = {
        f"{folder}/METADATA": "\n".join(headers) + "\n",
        f"{folder}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    content |= files or {}
    for script, text in (scripts or {}).items():
        content[f"{name}-{version}.data/scripts/{script}"] = text
    content[f"{folder}/RECORD"] = "".join(f"{path},,\n" for path in (*content, f"{folder}/RECORD"))
    file.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in content.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (0o100755 if "/scripts/" in path else 0o100644) << 16
            archive.writestr(entry, text)
    return file
