"""Lines as GitHub's pages of jobs want them: each build's log folded, a failed one's end first.

The commands are those of "Workflow commands for GitHub Actions" in GitHub's documentation.
"""

from __future__ import annotations

import secrets

from build_tasks import console
from build_tasks.errors import ImagesError
from build_tasks.progress.plain import Lines
from build_tasks.progress.row import View
from build_tasks.text import escaping
from build_tasks.text.formatting import duration

#: Lines of a failed build's log that stand above its fold.
LAST = 20


class GitHub(Lines):
    """Prints lines, and the log of a build when it has ended."""

    def show_ended(self, row: View, error: ImagesError | None) -> None:
        """Say how a build ended, and fold its log."""
        if row.state == "skipped":
            super().show_ended(row, error)
            return
        log = self.log(row.name)
        shown = []
        if error:
            title = escaping.github_property(row.name)
            shown += _quoted(log.tail(LAST))
            shown.append(f"::error title={title}::{escaping.github_data(row.current)}")
        shown.append(f"::group::{row.name}: {row.state} in {duration(row.seconds)}")
        # At once, so that no other build's line stands among them.
        console.write("\n".join([*shown, *_quoted(log.lines()), "::endgroup::", ""]))


def _quoted(lines: list[str]) -> list[str]:
    """Return what a build said; a line of it that looks like a command must not be one."""
    token = secrets.token_hex(16)
    return [f"::stop-commands::{token}", *map(escaping.plain, lines), f"::{token}::"]
