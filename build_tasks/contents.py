"""What a build would be made of, read from the files as they lie there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from build_tasks import dockerfile, freshness
from build_tasks.freshness import Inputs
from build_tasks.spec import BuildSpec


def gather(spec: BuildSpec) -> Inputs:
    """Return the inputs of a build."""
    instructions = dockerfile.parse(spec.dockerfile.read_text(encoding="utf-8"))
    files = dict(_files(spec.context))
    for name, folder in spec.contexts:
        files |= {f"{name}:{path}": text for path, text in _files(folder)}
    return freshness.gather(instructions, dict(spec.arguments), files)


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not {".git", ".nox", "__pycache__"} & set(path.parts):
            mode = "100755" if os.access(path, os.X_OK) else "100644"
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:32]
            yield str(path.relative_to(folder)), f"{mode} {digest}"
