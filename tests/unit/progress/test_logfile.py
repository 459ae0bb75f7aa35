"""The log of a build, which also loses its file well."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path

import pytest
from displays import BEGAN, CI, ENDED, begin, output, vertex

from build_tasks.progress.base import Display
from build_tasks.progress.logfile import Log

STREAMS = Path(__file__).parents[2] / "data" / "streams"


def test_a_log_reads_as_buildkits_plain_display(tmp_path: Path) -> None:
    display = Display(tmp_path / "run")
    attempt = begin(display, CI)
    attempt.write(
        vertex("[2/3] RUN a"),  # announced only
        vertex("[2/3] RUN a", started=BEGAN),
        output("[2/3] RUN a", "one\ntw"),
        output("[2/3] RUN a", "o\nthree"),
        vertex("[2/3] RUN a", started=BEGAN, completed=ENDED),
        vertex("[2/3] RUN a", started=BEGAN, completed=ENDED),
        vertex("[3/3] RUN b", started=BEGAN, completed=BEGAN, cached=True),
        vertex("[3/3] RUN c", started=BEGAN, completed=ENDED, error="no"),
        {"warnings": [{"short": base64.b64encode(b"careful").decode()}]},
        "a plain line",
    )
    assert display.log(CI).tail(2) == ["WARNING: careful", "a plain line"]
    display.close()
    assert (tmp_path / f"{CI}.log").readlink() == Path("run", f"{CI}.log")
    assert (tmp_path / f"{CI}.log").read_text().splitlines() == [
        "+ docker-buildx build .",
        "#1 [2/3] RUN a",
        "#1 one",
        "#1 two",
        "#1 three",
        "#1 DONE 2.2s",
        "#2 [3/3] RUN b",
        "#2 CACHED",
        "#3 [3/3] RUN c",
        "#3 ERROR: no",
        "WARNING: careful",
        "a plain line",
    ]


@pytest.mark.parametrize("version", ["0.13", "0.29"])
def test_the_log_of_a_recorded_stream_has_all_of_it(tmp_path: Path, version: str) -> None:
    display = Display(tmp_path / "run")
    attempt = begin(display, CI)
    attempt.recorder.feed(gzip.decompress((STREAMS / version / "first.txt.gz").read_bytes()))
    attempt.recorder.end()
    display.close()
    lines = (tmp_path / f"{CI}.log").read_text().splitlines()
    named = [line for line in lines if "RUN" in line and line.startswith("#")]
    assert len(named) == len(set(named))
    assert any(line.endswith(" step one") for line in lines)
    assert any("[internal] load build definition" in line for line in lines)
    assert sum(" DONE " in line for line in lines) > 5
    assert "hunter2" not in "\n".join(lines)


def test_a_log_on_a_full_disk_keeps_its_last_lines() -> None:
    log = Log(Path("/dev/full"))
    for number in range(200):
        log.line(f"line {number}")
    assert log.problem == "warning: /dev/full: the log cannot be written: No space left on device"
    assert log.lines() == log.tail(100) == [f"line {number}" for number in range(100, 200)]
    log.close()


def test_a_log_that_was_removed_still_has_its_end(tmp_path: Path) -> None:
    log = Log(tmp_path / "x.log")
    log.line("a\x1b[2J")
    assert log.lines() == ["a"]
    log.path.unlink()
    assert log.lines() == ["a"]
    log.close()
    log.line("after the end")
    assert log.problem == ""


def test_a_line_without_an_end_takes_little_memory(tmp_path: Path) -> None:
    display = Display(tmp_path)
    attempt = begin(display, CI)
    attempt.write(vertex("a", started=BEGAN), *[output("a", "." * 1000)] * 200)
    attempt.write(vertex("a", started=BEGAN, completed=ENDED))
    lines = display.log(CI).lines()
    display.close()
    assert max(map(len, lines)) < 70_000
    assert sum(line.count(".") for line in lines if line.startswith("#1 .")) == 200_000
