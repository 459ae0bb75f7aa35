"""Which commit an image is built from."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from build_tasks.errors import ImagesError, MissingProgram
from build_tasks.inputs import git
from build_tasks.model.revision import Revision

#: `rev-list` with a format: a line with the commit's hash, SHA-1 or SHA-256, and the format's.
_ANSWER = re.compile(r"commit ([0-9a-f]{40}|[0-9a-f]{64})\n(\S+)\n")
#: What git says of a repository that has no commit yet.
_UNBORN = "bad revision 'HEAD'"


def current(root: Path, announce: Callable[[str], None]) -> Revision:
    """Return the commit that is checked out in a folder.

    Args:
        root: the folder.
        announce: is told why a commit that is there cannot be read.
    """
    try:
        answer = git.ask(root, "rev-list", "--max-count=1", "--format=%cI", "HEAD", "--")
    except git.NoRepositoryError:
        return Revision()
    except ImagesError as error:
        if str(error) != _UNBORN and not (
            isinstance(error, MissingProgram) and not git.discovered(root)
        ):
            announce(f"warning: {root}: the commit is not known: {error}")
        return Revision()
    found = _ANSWER.fullmatch(answer)
    if not found:
        announce(f"warning: {root}: the commit is not known: git answers {answer[:80]!r}")
        return Revision()
    return Revision(found[1], found[2])


def branch(root: Path) -> str:
    """Return the branch that is checked out in a folder; empty text where there is none."""
    try:
        # Not --short, which is `heads/NAME` where a tag has the same name.
        return git.ask(root, "symbolic-ref", "--quiet", "HEAD").strip().removeprefix("refs/heads/")
    except ImagesError:
        return ""
