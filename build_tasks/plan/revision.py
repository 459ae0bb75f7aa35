"""The commit that an image is built from, the branch, and the CI run."""

from __future__ import annotations

import os
import re
from pathlib import Path

from build_tasks.errors import ImagesError, MissingProgram
from build_tasks.inputs import git
from build_tasks.model.labels import Revision
from build_tasks.process import Announce

#: Variables with the id of a CI run; the first one that is set counts.
BUILD_ID_VARIABLES = ("BUILD_ID", "GITHUB_RUN_ID", "CI_PIPELINE_ID")
#: The output of `rev-list --format`: the commit's hash (SHA-1 or SHA-256), and its date.
_REV_LIST = re.compile(r"commit ([0-9a-f]{40}|[0-9a-f]{64})\n(\S+)\n")
#: git's message for a repository without a commit.
_NO_COMMIT = "bad revision 'HEAD'"


def current(root: Path, announce: Announce, build_id: str = "") -> Revision:
    """Return the commit that is checked out in a folder, and the id of the run.

    The id is by default that of the CI system. Why a commit cannot be read is announced.
    """
    for name in BUILD_ID_VARIABLES:
        build_id = build_id or os.environ.get(name, "")
    try:
        output = git.ask(root, "rev-list", "--max-count=1", "--format=%cI", "HEAD", "--")
    except ImagesError as error:
        no_git = isinstance(error, MissingProgram) and not git.discovered(root)
        no_commit = isinstance(error, git.NoRepositoryError) or str(error) == _NO_COMMIT
        reason = "" if no_git or no_commit else str(error)
    else:
        if match := _REV_LIST.fullmatch(output):
            return Revision(match[1], match[2], build_id)
        reason = f"git answers {output[:80]!r}"
    if reason:
        announce(f"warning: {root}: the commit is not known: {reason}")
    return Revision(build_id=build_id)


def branch(root: Path) -> str:
    """Return the branch that is checked out in a folder; empty if none is."""
    try:
        # Not --short, which returns `heads/NAME` if a tag has the same name.
        return git.ask(root, "symbolic-ref", "--quiet", "HEAD").strip().removeprefix("refs/heads/")
    except ImagesError:
        return ""
