"""What a build for one platform leaves behind for a merge: a small file with its digest.

The files can be carried to any machine; a merge finds all that it needs in them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from build_tasks import paths
from build_tasks.config.settings import ROOT
from build_tasks.errors import DiskError, UsageError
from build_tasks.model.digest_file import DigestFile
from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.text.formatting import listed

SCHEMA = 1
#: Where the files lie unless somebody says otherwise; it is no part of the repository.
FOLDER = ROOT / "dist" / "digests"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def folder(text: str | None) -> Path:
    """Return the folder that a person named, or the project's own."""
    return Path(text).expanduser().absolute() if text else FOLDER


def write(where: Path, part: DigestFile) -> DigestFile:
    """Write a part down, and return it with its file.

    Raises:
        DiskError: the folder cannot be written to; the message still has the digest.
    """
    file = where / f"{part.identity}.json"
    said = {"schema": SCHEMA, **asdict(part)}
    del said["file"]
    try:
        where.mkdir(parents=True, exist_ok=True)
        paths.write(file, json.dumps(said, indent=2) + "\n")
    except OSError as error:
        raise DiskError(
            f"{part.identity}: pushed {part.reference}, and {file} cannot be written: "
            f"{error.strerror}"
        ) from None
    return replace(part, file=file)


def forget(where: Path, part: DigestFile, *, merged_here: bool = False) -> None:
    """Remove what an earlier build wrote: a build that fails must not leave the one before.

    Raises:
        DiskError: it cannot be removed, and what will be written is for another run.
    """
    file = where / f"{part.identity}.json"
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        if not merged_here:
            raise DiskError(
                f"{part.identity}: {file} cannot be removed: {error.strerror}"
            ) from None


def read(where: Path) -> list[DigestFile]:
    """Return the parts that are written down in a folder, and in folders inside of it.

    Raises:
        UsageError: there is no such folder, or a file in it is none of ours.
    """
    if not where.is_dir():
        raise UsageError(f"{where}: there is no such folder of digests: name it with --digests")
    return [_read(file) for file in sorted(where.rglob("*.json"))]


def choose(
    parts: Sequence[DigestFile], wanted: Sequence[Build], *, image: str, commit: str, place: Path
) -> list[DigestFile]:
    """Return the parts of one image, one for each platform, in the order of the platforms.

    Args:
        parts: what is written down.
        wanted: the same image for each of the platforms that it has to hold.
        image: the name that the image has here, without a tag.
        commit: the commit that all of them have to be of; empty for any, as long as it is one.
        place: where the parts were read, for the errors.

    Raises:
        UsageError: one is missing, is there twice, or does not belong to the others.
    """
    settings = [_one(parts, build, place) for build in wanted]
    for part in settings:
        if part.image != image:
            raise UsageError(
                f"{part.file}: is of {part.image}, not of {image}: merge with the --registry, "
                "--repository and --branch that it was built with"
            )
        if commit and part.commit and not part.commit.startswith(commit):
            raise UsageError(
                f"{part.file}: is of commit {part.commit[:12]}, not of {commit[:12]}: build "
                f"{part.identity} again, or merge with --commit {part.commit[:12]}"
            )
    for what in ("commit", "airflow"):
        found = {getattr(part, what): part for part in settings}
        if len(found) > 1:
            several = listed(
                f"{part.identity} of {value[:12] or 'none'}" for value, part in found.items()
            )
            raise UsageError(f"{place}: not of one {what}: {several}: build the older one again")
    return settings


def _one(parts: Iterable[DigestFile], build: Build, place: Path) -> DigestFile:
    known = list(parts)
    found = [part for part in known if part.identity == build.identity]
    if not found:
        there = listed(sorted({part.identity for part in known})) or "none"
        raise UsageError(
            f"{place}: no digest of {build.identity}, there is {there}: build it with: nox -s "
            f"build_{build.kind}-{build.python}-{build.platform.architecture} -- --push-by-digest"
        )
    others = [part for part in found if part.digest != found[0].digest]
    if others:
        raise UsageError(
            f"{found[0].file} and {others[0].file}: are both of {build.identity}: remove one"
        )
    return found[0]


def _read(file: Path) -> DigestFile:
    try:
        said = json.loads(paths.read_text(file))
        schema = said.pop("schema")
        part = DigestFile(**said, file=file)
        kind, platform = ImageKind(part.kind), Platform(part.platform)
        build = Build(kind, part.python, platform, slim=part.slim is True)
        texts = (part.identity, part.image, part.airflow, part.commit, part.digest)
        if not all(isinstance(text, str) for text in texts):
            raise TypeError
    except FileNotFoundError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UsageError(f"{file}: is no digest that a build of this suite wrote") from None
    if schema != SCHEMA:
        raise UsageError(f"{file}: was written by another version of this suite")
    if build.identity != part.identity or not _DIGEST.fullmatch(part.digest):
        raise UsageError(f"{file}: contradicts itself: it was changed by hand")
    return part
