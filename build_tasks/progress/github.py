"""Lines for the job pages of GitHub Actions: the log of each build is a foldable group.

See "Workflow commands for GitHub Actions" in GitHub's documentation.
"""

from __future__ import annotations

import secrets

from build_tasks import console
from build_tasks.errors import ImagesError
from build_tasks.progress.plain import Lines
from build_tasks.text import escaping
from build_tasks.text.formatting import duration

#: Lines of a failed build's log that are shown above its group.
LAST = 20


class GitHub(Lines):
    """Prints lines, and each build's log when it has ended."""

    shows_outcome = False

    def ended(self, name: str, state: str, error: ImagesError | None, seconds: float) -> None:
        """Print the outcome of a build, and its log as a group."""
        super().ended(name, state, error, seconds)
        if state == "skipped":
            self.show(name, self.rows[name].outcome)
            return
        log = self.log(name)
        lines = []
        if error:
            title = escaping.github_property(name)
            lines += _quoted(log.tail(LAST))
            message = escaping.github_data(self.rows[name].message)
            lines.append(f"::error title={title}::{message}")
        lines.append(f"::group::{name}: {state} in {duration(seconds)}")
        # In one write, so that no line of another build gets in between.
        console.write("\n".join([*lines, *_quoted(log.lines()), "::endgroup::", ""]))


def _quoted(lines: list[str]) -> list[str]:
    """Keep GitHub from following commands in the output of a build."""
    token = secrets.token_hex(16)
    return [f"::stop-commands::{token}", *map(escaping.plain, lines), f"::{token}::"]
