"""What git says of a failure; what starts git is tried with the front ends."""

from __future__ import annotations

import pytest

from build_tasks.inputs import git


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        ("", "git gave no reason"),
        ("warning: redirecting\nfatal: no\n\nPlease make sure\nand it exists.\n", "no"),
        ("git@host: Permission denied (publickey).\r\nfatal: Could not read\n", "git@host: Perm"),
        ("Warning: Permanently added 'host'.\n", "Warning: Permanently added 'host'."),
    ],
)
def test_the_reason_is_the_first_line_of_git(stderr: str, reason: str) -> None:
    assert git.reason(stderr).startswith(reason)
