"""Digest files: what a merge has to know of an image that was pushed for one platform.

A build with `--push-by-digest` writes one. The files can be copied to any machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from build_tasks import paths
from build_tasks.config.project import Project
from build_tasks.errors import CommandError, DiskError, UsageError
from build_tasks.model.build import DigestFile
from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.process import Announce
from build_tasks.text import hints
from build_tasks.text.formatting import listed

SCHEMA = 1
#: The default folder, below the project's root.
FOLDER = Path("dist", "digests")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def folder(text: str | None, project: Project) -> Path:
    """Return the folder that `--digests` names, or the default one."""
    return Path(text).expanduser().absolute() if text else project.root / FOLDER


def record(
    folder: Path,
    pushed: DigestFile,
    digest: str,
    announce: Announce,
    *,
    merged_here: bool = False,
) -> DigestFile:
    """Write the digest of a pushed image to a file, and announce the file.

    With `merged_here` this run merges the image itself, and does not need the file.

    Raises:
        CommandError: buildx reported no digest.
        DiskError: the file cannot be written, and another run needs it.
    """
    if not digest:
        raise CommandError(f"{pushed.identity}: pushed, but buildx reported no digest")
    pushed = replace(pushed, digest=digest)
    try:
        pushed = write(folder, pushed)
        announce(f"wrote its digest to {pushed.file}")
    except DiskError as error:
        if not merged_here:
            raise
        announce(f"warning: {error}")
    return pushed


def write(folder: Path, pushed: DigestFile) -> DigestFile:
    """Write a digest file into a folder, and return it with its path.

    Raises:
        DiskError: it cannot be written; the message contains the digest.
    """
    file = folder / f"{pushed.identity}.json"
    content = asdict(pushed)
    del content["file"]
    document = {"schema": SCHEMA, "identity": pushed.identity, **content.pop("build"), **content}
    try:
        paths.write(file, json.dumps(document, indent=2) + "\n")
    except OSError as error:
        raise DiskError(
            f"{pushed.identity}: pushed {pushed.reference}, but {file} cannot be written: "
            f"{error.strerror}"
        ) from None
    return replace(pushed, file=file)


def remove(folder: Path, build: Build, *, merged_here: bool = False) -> None:
    """Remove the digest file of an earlier build, so that a failed build leaves none.

    Raises:
        DiskError: it cannot be removed, and another run would read it.
    """
    file = folder / f"{build.identity}.json"
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        reason = f"{build.identity}: {file} cannot be removed: {error.strerror}"
        if not merged_here:
            raise DiskError(reason) from None


def read(folder: Path) -> list[DigestFile]:
    """Return the digest files in a folder and in its subfolders.

    Raises:
        UsageError: there is no such folder, or a JSON file in it is not a digest file.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder: name the folder of digests with --digests")
    return [_read(file) for file in sorted(folder.rglob("*.json"))]


def select(
    files: Sequence[DigestFile], builds: Sequence[Build], *, image: str, commit: str, folder: Path
) -> list[DigestFile]:
    """Return the digest files of the platforms of one image, in the order of `builds`.

    Args:
        files: all digest files.
        builds: the image for each of its platforms.
        image: the expected name of the image, without a tag.
        commit: the expected commit, or its beginning; "" for any single commit.
        folder: the folder of the files, for errors.

    Raises:
        UsageError: one is missing, ambiguous, or does not match the others.
    """
    selected = [_of_build(files, build, folder) for build in builds]
    for pushed in selected:
        if pushed.image != image:
            raise UsageError(
                f"{pushed.file}: is of {pushed.image}, not of {image}: merge with the --registry, "
                "--repository and --branch that it was built with"
            )
        if commit and pushed.commit and not pushed.commit.startswith(commit):
            raise UsageError(
                f"{pushed.file}: is of commit {pushed.commit[:12]}, not of {commit[:12]}: build "
                f"{pushed.identity} again, or merge with --commit {pushed.commit[:12]}"
            )
    for name in ("commit", "airflow"):
        by_value = {getattr(pushed, name): pushed.identity for pushed in selected}
        if len(by_value) > 1:
            values = listed(f"{build} of {text[:12] or 'none'}" for text, build in by_value.items())
            raise UsageError(f"{folder}: not of one {name}: {values}: build the older one again")
    check_bases(selected)
    return selected


def check_bases(parts: Sequence[DigestFile]) -> None:
    """Raise UsageError if the platforms of an image stand on different base images.

    Each build found the one that the tag had at its time. Unknown ones do not count.
    """
    by_base = {part.base: part.identity for part in parts if part.base}
    if len(by_base) > 1:
        found = listed(f"{identity} on {base[:19]}" for base, identity in by_base.items())
        raise UsageError(
            f"the platforms stand on different base images: {found}: build the older one again, or "
            "all with --locked"
        )


def _of_build(files: Sequence[DigestFile], build: Build, folder: Path) -> DigestFile:
    matches = [pushed for pushed in files if pushed.build == build]
    if not matches:
        others = listed(sorted({pushed.identity for pushed in files})) or "none"
        architecture, options = build.platform.architecture, ("--push-by-digest",)
        command = hints.image("image.build", build.image_name, build.python, architecture, options)
        raise UsageError(
            f"{folder}: no digest of {build.identity}, only of {others}: build it with: {command}"
        )
    for other in matches[1:]:
        if other.digest != matches[0].digest:
            raise UsageError(
                f"{matches[0].file} and {other.file}: are both of {build.identity}: remove one"
            )
    return matches[0]


def _read(file: Path) -> DigestFile:
    try:
        document = json.loads(paths.read_text(file))
        schema, identity, slim = (document.pop(name) for name in ("schema", "identity", "slim"))
        kind, platform = ImageKind(document.pop("kind")), Platform(document.pop("platform"))
        name = document.pop("name", "")  # files of suites without own images have none
        build = Build(kind, document.pop("python"), platform, slim is True, name)
        pushed = DigestFile(build, **document, file=file)
        texts = (name, pushed.image, pushed.airflow, pushed.commit, pushed.digest, pushed.base)
        if not all(isinstance(text, str) for text in texts):
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UsageError(f"{file}: is not a digest file of this suite") from None
    if schema != SCHEMA:
        raise UsageError(f"{file}: was written by another version of this suite")
    if build.identity != identity or not _DIGEST.fullmatch(pushed.digest):
        raise UsageError(f"{file}: is inconsistent: it was edited by hand")
    return pushed
