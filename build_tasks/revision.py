"""Which commit an image is built from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from build_tasks import process
from build_tasks.errors import ImagesError


@dataclass(frozen=True)
class Revision:
    """A commit; both texts are empty outside of a git checkout.

    Args:
        commit: the full hash.
        date: the commit's date, as ISO 8601; the image's own, so that equal inputs give an equal
            image.
    """

    commit: str = ""
    date: str = ""


def current(root: Path) -> Revision:
    """Return the commit that is checked out in a folder."""
    command = ("git", "-C", str(root), "show", "--no-patch", "--format=%H %cI", "HEAD")
    try:
        commit, _, date = process.run(command, timeout=10).stdout.strip().partition(" ")
    except ImagesError:
        return Revision()
    return Revision(commit, date)
