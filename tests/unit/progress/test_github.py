"""Lines and groups for GitHub's job pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from displays import CI, begin

from build_tasks.errors import StepError
from build_tasks.progress.github import GitHub


def test_a_github_log_is_a_group_and_no_command_in_it_is_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    display = GitHub(tmp_path, width=100)
    begin(display, CI, "ci-3.11-amd64").write("::error::not ours")
    capsys.readouterr()
    display.ended(CI, "failed", StepError(f"{CI}: why"), 2.0)
    display.ended("ci-3.11-amd64", "skipped", None, 0.0)
    display.close()
    lines = capsys.readouterr().err.splitlines()
    stops = [line for line in lines if line.startswith("::stop-commands::")]
    assert len(stops) == 2
    for stop in stops:
        inside = lines[lines.index(stop) : lines.index(f"::{stop.rpartition(':')[2]}::")]
        assert "::error::not ours" in inside
    assert f"::error title={CI}::why" in lines
    assert f"::group::{CI}: failed in 2.0 s" in lines
    assert lines[-1] == "ci-3.11-amd64: skipped"
