"""A commit and the CI run that builds from it."""

from __future__ import annotations

from dataclasses import dataclass


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
