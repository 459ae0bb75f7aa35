"""Which commit an image is built from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from build_tasks import process
from build_tasks.errors import ImagesError


@dataclass(frozen=True)
class Revision:
    """A commit and the run that builds from it; texts are empty where there is none.

    Args:
        commit: the full hash.
        date: the commit's date, as ISO 8601; the image's own, so that equal inputs give an equal
            image.
        build_id: the id of the CI run.
    """

    commit: str = ""
    date: str = ""
    build_id: str = ""


def current(root: Path) -> Revision:
    """Return the commit that is checked out in a folder."""
    command = ("git", "-C", str(root), "show", "--no-patch", "--format=%H %cI", "HEAD")
    try:
        commit, _, date = process.run(command, timeout=10).stdout.strip().partition(" ")
    except ImagesError:
        return Revision()
    return Revision(commit, date)


def branch(root: Path) -> str:
    """Return the branch that is checked out in a folder; empty text where there is none."""
    command = ("git", "-C", str(root), "symbolic-ref", "--quiet", "--short", "HEAD")
    try:
        return process.run(command, timeout=10).stdout.strip()
    except ImagesError:
        return ""
