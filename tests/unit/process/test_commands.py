"""How commands and their failures are shown."""

from __future__ import annotations

import pytest

from build_tasks import process
from build_tasks.process import Completed, commands


def test_an_echoed_command_can_be_pasted_into_a_shell(capsys: pytest.CaptureFixture[str]) -> None:
    process.echo(("a", "b c"), {"Y": "2", "X": "1 1"})
    assert capsys.readouterr().err == "+ env 'X=1 1' Y=2 a 'b c'\n"


def test_a_quoted_command_hides_secrets() -> None:
    assert process.quote(("curl", "https://me:hunter2@example.org")) == (
        "curl https://me:***@example.org"
    )


@pytest.mark.parametrize(
    ("stderr", "reason"), [("a\nwhy\n \n", "why"), ("", "exit status 3"), ("\n", "exit status 3")]
)
def test_a_failure_is_the_last_line_or_the_status(stderr: str, reason: str) -> None:
    completed = Completed(("a", "b c"), 3, "not shown", stderr)
    assert commands.failure(completed) == f"a 'b c': {reason}"
