"""Lines as GitHub's pages of jobs want them: each build's log folded, a failed one's end first.

The commands are those of "Workflow commands for GitHub Actions" in GitHub's documentation.
"""

from __future__ import annotations

import secrets

from build_tasks.display.lines import Lines
from build_tasks.display.rows import Row, clock
from build_tasks.errors import ImagesError

#: Lines of a failed build's log that stand above its fold.
LAST = 20


class GitHub(Lines):
    """Prints lines, and the log of a build when it has ended."""

    def show_ended(self, row: Row, error: ImagesError | None) -> None:
        """Say how a build ended, and fold its log."""
        if row.state == "skipped":
            super().show_ended(row, error)
            return
        log = self.log(row.name)
        if error:
            self._quoted(log.tail(LAST))
            self.write(f"::error title={_property(row.name)}::{_data(row.current)}")
        self.write(f"::group::{row.name}: {row.state} in {clock(row.seconds)}")
        self._quoted(log.path.read_text(encoding="utf-8").splitlines())
        self.write("::endgroup::")

    def _quoted(self, lines: list[str]) -> None:
        """Print what a build said; a line of it that looks like a command must not be one."""
        token = secrets.token_hex(16)
        self.write(f"::stop-commands::{token}")
        for line in lines:
            self.write(line)
        self.write(f"::{token}::")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
