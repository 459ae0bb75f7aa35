"""image.report as people call it, and several processes that write records at once."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import records
from fake_docker import Bench, last

from build_tasks.history import journal, serialization
from build_tasks.history.record import BuildRecord

ROOT = Path(__file__).resolve().parents[2]
RUN = records.run()
WRITER = """
import sys
sys.path[:0] = ["tests"]
import records
from dataclasses import replace
from build_tasks.history import journal
journal.KEEP_BUILDS = 6
one = records.build("ci", "3.11", "amd64")
for turn in range(40):
    record = replace(one, run=f"r{turn % 9}", identity=f"build-{sys.argv[1]}")
    journal.write(record)
    journal.prune(record)
    journal.last_run(announce=print)
"""


@pytest.fixture
def built(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench on which the whole matrix was built."""
    monkeypatch.setenv("AIRFLOW_IMAGES_CACHE", bench.environment["AIRFLOW_IMAGES_CACHE"])
    for one in RUN:
        journal.write(one)
    return bench


def test_the_last_run_is_the_default(built: Bench) -> None:
    done = built.invoke("image.report")
    assert done.returncode == 0, done.stderr
    assert last(done.stdout) == "24 builds: 23 built, 1 failed, in 14 min 46 s"
    one = built.invoke("image.report", "--record", "ci-3.14-arm64")
    assert one.stdout.startswith("ci-3.14-arm64: failed step [main 6/10] in 4 min 50 s\n")
    assert max(map(len, built.invoke("image.report", COLUMNS="60").stdout.splitlines())) == 60
    assert built.told() == []  # nothing is asked of docker


def test_a_report_has_the_chosen_format(built: Bench) -> None:
    asked = built.invoke("image.report", "--json").stdout
    assert asked == built.invoke("image.report", "--format", "json").stdout
    assert serialization.of_bytes(asked.encode()) == ([*sorted(RUN, key=_order)], 0)
    assert built.invoke("image.report", "--format", "markdown").stdout.startswith("### 24 builds")
    root = ET.fromstring(built.invoke("image.report", "--format", "junit").stdout.encode())  # noqa: S314 - our own
    assert len([*root.iter("testcase")]) == 24
    assert built.invoke("image.report", "--format", "html").stdout.endswith("</html>\n")


def test_the_suffix_of_a_file_selects_the_format(built: Bench, tmp_path: Path) -> None:
    begins = {
        "a.html": "<!doctype html>",
        "a.md": "###",
        "a.xml": "<?xml",
        "a.json": "{",
        "a": "build",
    }
    for name, text in begins.items():
        done = built.invoke("image.report", "--output", str(tmp_path / name))
        assert done.stdout == ""
        assert last(done.stderr).startswith(f"wrote {tmp_path / name}: ")
        assert (tmp_path / name).read_text().startswith(text)
    again = built.invoke("image.report", "--record", str(tmp_path / "a.json"), "--json")
    assert json.loads(again.stdout) == json.loads((tmp_path / "a.json").read_text())


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (
            ("--format", "pdf"),
            2,
            "--format: unknown format 'pdf': choose table, markdown, json, junit, html",
        ),
        (
            ("--json", "--format", "html"),
            2,
            "--json and --format html exclude each other: give one of them",
        ),
        (
            ("--record", "prod-3.8"),
            2,
            "no record of 'prod-3.8': choose last, 20261124-021704-7f3a, ci-3.10-amd64",
        ),
        (("--output", "/"), 6, "--output: / cannot be written: Is a directory"),
    ],
)
def test_a_mistake_is_one_line(
    built: Bench, options: tuple[str, ...], code: int, says: str
) -> None:
    done = built.invoke("image.report", *options)
    assert done.returncode == code
    (line,) = done.stderr.splitlines()
    assert line.startswith(says)


def test_without_a_record_the_message_names_the_command(bench: Bench) -> None:
    done = bench.invoke("image.report")
    assert (done.returncode, done.stdout) == (2, "")
    assert last(done.stderr).startswith("no build is recorded yet: invoke image.build")


def test_a_page_is_not_printed_to_a_terminal(built: Bench) -> None:
    reader, writer = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "image.report", "--format", "html"],
        cwd=ROOT,
        env=built.environment,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    os.close(reader)
    assert done.returncode == 2
    assert done.stderr == "--format html: name a file with --output, like report.html\n"


def test_processes_write_and_remove_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(number)],
            cwd=ROOT,
            env={**bench.environment, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(4)
    ]
    said = [writer.communicate(timeout=120)[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 4, said
    assert said == [""] * 4
    monkeypatch.setenv("AIRFLOW_IMAGES_CACHE", bench.environment["AIRFLOW_IMAGES_CACHE"])
    # Whoever prunes leaves its own run whole, beside what the bound allows.
    assert 1 <= len([*journal.folder().glob("*/*.json")]) <= 6 + 4
    assert not [*journal.folder().glob("*.airflow-images")]


def _order(record: BuildRecord) -> tuple[str, str]:
    return record.began, record.identity
