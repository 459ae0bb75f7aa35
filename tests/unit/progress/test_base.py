"""What all displays have in common: rows, logs and messages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import specs
from displays import BEGAN, CI, ENDED, Attempt, begin, vertex

from build_tasks.errors import ImagesError
from build_tasks.history.recorder import Recorder
from build_tasks.model import cache_backends
from build_tasks.model.build import Output
from build_tasks.model.cache import CachePlan
from build_tasks.progress import base
from build_tasks.progress.base import Display
from build_tasks.progress.plain import BuildKitDisplay, Events, Lines, StepLines


def test_a_row_counts_instructions_and_not_from(tmp_path: Path) -> None:
    display = Display(tmp_path)
    attempt = begin(display, CI)
    names = ("[1/3] FROM base", "[2/3] RUN a", "[linux/arm64 build 3/3] RUN b", "[internal] x")
    attempt.write(*(vertex(name) for name in names))
    progress = display.rows[CI].progress
    assert (progress.done, progress.total) == (0, 2)
    attempt.write(vertex("[2/3] RUN a", started=BEGAN))
    assert display.rows[CI].progress.running == ("[2/3] RUN a",)
    attempt.write(
        vertex("[2/3] RUN a", started=BEGAN, completed=ENDED),
        vertex("[linux/arm64 build 3/3] RUN b", started=BEGAN, completed=BEGAN, cached=True),
        # Its layers are fetched for an export: it was cached all the same.
        vertex("[linux/arm64 build 3/3] RUN b", started=BEGAN, completed=ENDED),
    )
    progress = display.rows[CI].progress
    assert (progress.done, progress.total, progress.cached) == (2, 2, 1)
    display.close()


def test_a_failed_step_is_not_done(tmp_path: Path) -> None:
    display = Display(tmp_path)
    error = "exit code: 1"
    begin(display, CI).write(vertex("[2/2] RUN a", started=BEGAN, completed=ENDED, error=error))
    assert (display.rows[CI].progress.done, display.rows[CI].progress.total) == (0, 1)
    display.close()


def test_another_attempt_begins_anew(tmp_path: Path) -> None:
    display = Display(tmp_path)
    begin(display, CI).write(vertex("[2/2] RUN a", started=BEGAN, completed=ENDED))
    first = display.rows[CI]
    display.began(CI)
    again = display.rows[CI]
    assert (again.progress.total, again.attempts, again.began) == (0, 2, first.began)
    display.close()


def test_the_whole_command_is_shown_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for make in (Lines, StepLines, Events):
        with make(tmp_path, width=30, verbose=True) as display:
            begin(display, CI)
        assert "+ docker-buildx build ." in capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"kind": Output.LOAD}, "building and loading r/i:1 for linux/amd64"),
        ({"kind": Output.DIGEST}, "building and pushing r/i by digest for linux/amd64"),
        (
            {
                "kind": Output.NONE,
                "cache": CachePlan(export=cache_backends.registry("r/i:c").for_export(())),
            },
            "building for linux/amd64, cache to r/i:c",
        ),
    ],
)
def test_one_line_says_what_is_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fields: dict[str, Any], text: str
) -> None:
    display = BuildKitDisplay(tmp_path)
    build = specs.make(tags=("r/i:1",), image="r/i", **fields)
    display.expect([build.identity])
    display.began(build.identity)
    display.start(build, "command", Recorder())
    display.close()
    name = build.identity
    assert capsys.readouterr().err == f"{name}: {text} (log: {tmp_path}/{name}.log)\n"


@pytest.mark.parametrize("make", [Display, BuildKitDisplay, Lines])
def test_logs_that_cannot_be_written_are_one_warning(
    tmp_path: Path, make: Callable[[Path], Display], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("a file, not a folder")
    display = make(tmp_path / "logs")
    names = [CI, "ci-3.11-amd64"]
    display.expect(names)
    with display:
        for name in names:
            display.began(name)
            Attempt(display, name).write("a line")
            display.ended(name, "built", None, 1.0)
    assert display.log_file(CI) == ""
    problem = f"{CI}: warning: {tmp_path}/logs/{CI}.log: the log cannot be written: File exists"
    warned = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert warned == [problem]


def test_an_error_is_shown_without_the_name_of_its_build() -> None:
    assert base.reason("x", ImagesError("x: why")) == "why"
