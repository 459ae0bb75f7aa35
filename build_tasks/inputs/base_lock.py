"""The file base.lock: the base image of each Python, by the digest of its index.

It is beside images.toml, and belongs into version control. The digests of the platforms are those
of the index when it was locked: a platform that is not there cannot be built from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build_tasks import paths
from build_tasks.errors import DiskError, UsageError
from build_tasks.text import hints

FILE = "base.lock"
SCHEMA = 1
_HEADER = """\
# The base images that --locked builds from. `base.update` writes this file, and `base.check` says
# what has moved since.
"""
_REFERENCE = re.compile(r"[A-Za-z0-9]\S*")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PYTHON = re.compile(r"3\.[0-9]{1,3}")


@dataclass(frozen=True)
class LockedBase:
    """The base image of one Python.

    Args:
        reference: its name and tag.
        digest: the digest of its index; of its manifest if it is for one platform.
        platforms: the digest of the image for each platform, like `linux/amd64`.
    """

    reference: str
    digest: str
    platforms: Mapping[str, str]

    @property
    def pinned(self) -> str:
        """Its reference with the digest."""
        return f"{self.reference.partition('@')[0]}@{self.digest}"


def read(folder: Path) -> dict[str, LockedBase]:
    """Return the locked base images of a project, by Python.

    Raises:
        UsageError: there is no such file, or it is not one that `write` wrote.
    """
    file = folder / FILE
    if not file.exists():
        raise UsageError(f"{file}: does not exist: write it with: {hints.task('base.update')}")
    text = paths.read_text(file)
    again = f"remove it, and write it with: {hints.task('base.update')}"
    try:
        document = paths.parse_toml(text)
        if document["schema"] != SCHEMA:
            raise UsageError(f"{file}: was written by another version of this suite: {again}")
        bases = {python: _parse(entry) for python, entry in document["python"].items()}
        if not all(map(_PYTHON.fullmatch, bases)):
            raise ValueError("unknown Python")
    except (KeyError, TypeError, AttributeError, ValueError):
        raise UsageError(f"{file}: is no lock file, or was edited by hand: {again}") from None
    return bases


def _parse(entry: dict[str, Any]) -> LockedBase:
    """Return an entry, or raise TypeError or ValueError if it is not of the file's form."""
    base = LockedBase(**entry)
    if not _REFERENCE.fullmatch(base.reference) or not base.platforms:
        raise ValueError
    if not all(map(_DIGEST.fullmatch, (base.digest, *base.platforms.values()))):
        raise ValueError
    return base


def write(folder: Path, bases: Mapping[str, LockedBase]) -> Path:
    """Write the base images of a project, and return the file.

    Raises:
        DiskError: it cannot be written.
    """
    file, parts = folder / FILE, [f"{_HEADER}schema = {SCHEMA}\n"]
    for python, base in sorted(bases.items(), key=lambda item: [*map(int, item[0].split("."))]):
        lines = [f'[python."{python}"]', f"reference = {json.dumps(base.reference)}"]
        lines += [f'digest = "{base.digest}"', f'[python."{python}".platforms]']
        platforms = sorted(base.platforms.items())
        lines += [f'{json.dumps(name)} = "{digest}"' for name, digest in platforms]
        parts.append("\n".join([*lines, ""]))
    try:
        paths.write(file, "\n".join(parts))
    except OSError as error:
        raise DiskError(f"{file}: cannot be written: {error.strerror}") from None
    return file
