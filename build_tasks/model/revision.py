"""A commit and the CI run that builds from it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Revision:
    """A commit and the run that builds from it; what is unknown is empty.

    Args:
        commit: the full hash.
        date: the commit's date in ISO 8601. The image has the same, so that equal inputs give an
            equal image.
        build_id: the id of the CI run.
    """

    commit: str = ""
    date: str = ""
    build_id: str = ""
