"""The journal finds what was written, and the store stays small."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from build_tasks import paths
from build_tasks.errors import DiskError, UsageError
from build_tasks.history import journal, serialization
from build_tasks.history.record import SCHEMA, BuildRecord, Step, StepKind


class Heard(list[str]):
    """Everything that was announced."""

    def __call__(self, line: str) -> None:
        self.append(line)


@pytest.fixture
def heard() -> Heard:
    return Heard()


def a(identity: str = "ci-3.11-amd64", run: str = "r1", **more: Any) -> BuildRecord:
    return BuildRecord(identity, run=run, **more)


def aged(record: BuildRecord, seconds: float) -> Path:
    """Write a record down as if that had been some time ago."""
    file = journal.write(record)
    then = time.time() - seconds
    os.utime(file, (then, then))
    return file


def written(**changed: object) -> bytes:
    data: dict[str, object] = json.loads(
        serialization.to_text(a(steps=(Step("d", "n", StepKind.STEP),)))
    )
    return json.dumps({**data, **changed}).encode()


def test_a_later_schema_is_said_in_one_line(heard: Heard) -> None:
    for name in ("ci-3.11-amd64", "ci-3.12-amd64", "ci-3.13-amd64"):
        journal.write(a(name)).write_bytes(written(schema=SCHEMA + 1, identity=name))
    assert len(journal.last_run(heard)) == 3
    assert len(heard) == 1
    assert "written by a later version (schema 2, this one reads 1)" in heard[0]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"schema":1}', b"\xff", written()[:80]]
)
def test_a_foreign_or_half_written_file_is_passed_over(content: bytes, heard: Heard) -> None:
    good = a()
    journal.write(a("ci-3.12-amd64")).write_bytes(content)
    journal.write(good)
    assert journal.of_run("r1", heard) == [good]
    assert len(heard) == 1
    assert heard[0].startswith("warning: ignored: ")
    assert "ci-3.12-amd64.json: not a record of a build: " in heard[0]


def test_a_file_that_is_removed_and_written_again_meanwhile_is_no_warning(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.write(a())

    def gone(file: Path) -> bytes:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(file))

    monkeypatch.setattr(Path, "read_bytes", gone)
    assert journal.of_run("r1", heard) == []
    assert heard == []


def test_runs_are_told_newest_first(heard: Heard) -> None:
    aged(a(run="old", began="2026-01-01T00:00:00+00:00"), 100)
    aged(a(run="new", began="2026-01-02T00:00:00+00:00"), 50)
    aged(a("prod-3.11-amd64", run="old"), 90)
    assert journal.runs() == ["new", "old"]
    assert [one.run for one in journal.last_run(heard)] == ["new"]
    assert [one.run for one in journal.by_identity("ci-3.11-amd64", heard)] == ["new", "old"]


def test_the_last_run_is_the_last_of_which_something_can_be_read(heard: Heard) -> None:
    aged(a(run="old"), 100)
    journal.write(a(run="new")).write_text("{")
    assert [one.run for one in journal.last_run(heard)] == ["old"]


def test_a_run_is_told_in_the_order_in_which_its_builds_began(heard: Heard) -> None:
    later, first = a("a", began="2026-01-02"), a("b", began="2026-01-01")
    for one in (later, first):
        journal.write(one)
    assert journal.of_run("r1", heard) == [first, later]


def test_the_record_before_is_of_the_same_build(heard: Heard) -> None:
    runs = [a(run=f"r{day}", began=f"2026-01-0{day}") for day in (1, 2, 3)]
    for age, one in zip((300, 200, 100), runs, strict=True):
        aged(one, age)
    aged(a("ci-3.11-arm64", run="r2", began="2026-01-02"), 50)
    assert journal.previous(runs[2], heard) == runs[1]
    assert journal.previous(runs[0], heard) is None


def test_the_record_before_is_of_a_build_that_ended_well(heard: Heard) -> None:
    outcomes = ("failed", "built", "failed", "cancelled", "skipped", "built")
    made = [
        BuildRecord("ci", run=str(day), began=f"2026-01-0{day}", outcome=outcome)
        for day, outcome in enumerate(outcomes, 1)
    ]
    for age, one in zip((600, 500, 400, 300, 200, 100), made, strict=True):
        aged(one, age)
    assert journal.previous(made[5], heard) == made[1]
    assert journal.previous(made[1], heard) == made[0], "better than nothing"
    assert journal.previous(made[0], heard) is None


def test_records_are_found_by_what_people_call_them(heard: Heard, tmp_path: Path) -> None:
    names = ("ci-3.1-amd64", "ci-3.11-amd64", "ci-3.11-arm64", "prod-3.11-amd64")
    first, second = ([a(name, run=run, began=run) for name in names] for run in ("1", "2"))
    for age, records in ((100, first), (50, second)):
        for record in records:
            aged(record, age)
    assert journal.find("last", heard) == second
    assert journal.find("1", heard) == first
    assert journal.find("ci-3.11-arm64", heard) == [second[2]]
    assert journal.find("ci-3.11", heard) == second[1:3]
    assert journal.find("ci", heard) == second[:3]
    report = tmp_path / "parts" / "report.json"
    report.parent.mkdir()
    report.write_text(json.dumps(serialization.to_report(first)))
    assert journal.find(str(report), heard) == first
    (tmp_path / "parts" / "other.json").write_text("{}")
    assert journal.find(str(tmp_path), heard) == first
    assert len(heard) == 1
    one = journal.folder() / "1" / "ci-3.1-amd64.json"
    assert journal.find(str(one), heard) == first[:1]
    assert journal.runs() == ["2", "1"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("last", "no build is recorded yet: airflow-images image.build records each"),
        ("ci-3.11", "no record of 'ci-3.11': choose last, a file or a folder of records"),
        ("../run", "no record of '../run': choose last, a file or a folder of records"),
        ("no.json", "no.json: cannot be read: No such file or directory"),
    ],
)
def test_what_is_not_there_is_one_line(text: str, says: str, heard: Heard) -> None:
    with pytest.raises(UsageError) as error:
        journal.find(text, heard)
    assert str(error.value) == says


def test_what_can_be_chosen_is_named(heard: Heard, tmp_path: Path) -> None:
    journal.write(a())
    with pytest.raises(UsageError, match=r"choose last, r1, ci-3\.11-amd64, a file or a folder"):
        journal.find("prod", heard)
    with pytest.raises(UsageError, match="no record of"):
        journal.find(str(tmp_path), heard)


def test_a_file_that_is_no_record_is_one_line(heard: Heard, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("{}")
    with pytest.raises(UsageError) as error:
        journal.find(str(file), heard)
    assert str(error.value) == f"{file}: not a record of a build: it has no schema"
    file.write_bytes(written(schema=7))
    assert len(journal.find(str(file), heard)) == 1
    assert "(schema 7, this one reads 1)" in heard[0]


def test_no_name_leads_out_of_the_folder() -> None:
    for run, identity in (("../../x", "../y"), (".", ".."), ("", "/etc/passwd"), ("a" * 500, "é")):
        file = journal.write(a(identity, run=run))
        assert file.parent.parent == journal.folder()
        assert file.exists()


def test_the_oldest_go_beyond_the_bounds(monkeypatch: pytest.MonkeyPatch, heard: Heard) -> None:
    monkeypatch.setattr(journal, "KEEP_BUILDS", 3)
    for number in range(5):
        aged(a(run=f"r{number}"), 100 - number)
    assert len(journal.runs()) == 5
    journal.prune(a(run="r4"))
    assert journal.runs() == ["r4", "r3", "r2"]
    assert sorted(one.name for one in journal.folder().iterdir()) == ["r2", "r3", "r4"]


def test_bytes_are_bounded_but_the_run_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "KEEP_BYTES", 1200)
    for number in range(5):
        aged(a(run=f"r{number}", message="x" * 100), 100 - number)
    journal.prune(a(run="r4"))
    sizes = [file.stat().st_size for file in journal.folder().glob("*/*.json")]
    assert 1 < len(sizes) < 5
    assert sum(sizes) <= 1200
    big = a(run="big", message="x" * 9000)
    for identity in ("ci-3.11-amd64", "ci-3.12-amd64"):
        journal.write(replace(big, identity=identity))
    journal.prune(big)
    assert journal.runs() == ["big"]
    assert len(journal.of_run("big", print)) == 2


def test_what_is_old_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    aged(a(run="old"), journal.KEEP_SECONDS + 10)
    journal.write(a(run="new"))
    journal.prune(a(run="new"))
    assert journal.runs() == ["new"]


def test_nothing_that_builds_keep_is_pruned() -> None:
    """The metadata of a checkout was in the folder of the builds' metadata files."""
    folders = [paths.keep(kind, {"a": b"x"}) for kind in ("logs", "metadata", "records")]
    for folder in folders:
        os.utime(folder / "a", (0, 0))
        os.utime(folder, (0, 0))
    journal.prune(a(run="kept"))
    assert [folder for folder in folders if (folder / "a").exists()] == folders


def test_logs_go_with_the_records_and_what_killed_runs_left_goes_too() -> None:
    cache = journal.folder().parent
    journal.write(a(run="kept"))
    files = [cache / "logs" / run / "ci.log" for run in ("gone", "killed", "kept", "runs")]
    files += [cache / "metadata" / "killed.json", cache / "metadata" / "runs.json"]
    files += [cache / "layouts" / run / "index.json" for run in ("killed", "runs")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        if "runs" not in str(file):
            os.utime(file, (0, 0))
            os.utime(file.parent, (0, 0))
    paths.link(cache / "logs" / "old.log", Path("gone/ci.log"))
    paths.link(cache / "logs" / "ci.log", Path("kept/ci.log"))
    journal.prune(a(run="kept"))
    left = {str(path.relative_to(cache)) for path in cache.rglob("*") if not path.is_dir()}
    assert left == {
        "layouts/runs/index.json",
        "logs/ci.log",
        "logs/kept/ci.log",
        "logs/runs/ci.log",
        "metadata/runs.json",
        "records/kept/ci-3.11-amd64.json",
    }


def test_a_record_is_replaced_as_a_whole() -> None:
    file = journal.write(a(message="one"))
    with file.open() as before:
        journal.write(a(message="two"))
        assert '"one"' in before.read()
    assert '"two"' in file.read_text()
    assert [one.name for one in journal.folder().iterdir()] == ["r1"]


def test_a_folder_that_cannot_be_written_to_is_one_line() -> None:
    journal.folder().write_text("a file")
    with pytest.raises(DiskError, match="the record cannot be written: "):
        journal.write(a())


def test_a_folder_that_is_removed_meanwhile_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    mkdir = Path.mkdir
    removed: list[Path] = []

    def racing(path: Path, *arguments: Any, **named: Any) -> None:
        mkdir(path, *arguments, **named)
        if path.parent == journal.folder() and len(removed) < 3:
            removed.append(path)
            path.rmdir()

    monkeypatch.setattr(Path, "mkdir", racing)
    assert journal.write(a()).exists()
    assert len(removed) == 3
    removed.clear()
    monkeypatch.setattr(journal, "RACES", 2)
    with pytest.raises(DiskError, match="No such file"):
        journal.write(a(run="r2"))
    assert [one.name for one in journal.folder().iterdir()] == ["r1"]


def test_several_write_and_remove_at_once(monkeypatch: pytest.MonkeyPatch, heard: Heard) -> None:
    monkeypatch.setattr(journal, "KEEP_BUILDS", 5)
    faults: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(25):
                record = replace(a(run=f"r{turn % 7}"), identity=f"build-{number}")
                journal.write(record)
                journal.prune(record)
                journal.last_run(heard)
        except BaseException as error:  # noqa: BLE001 - whatever it is
            faults.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert not heard
    # Whoever prunes leaves its own run whole, beside what the bound allows.
    assert 1 <= len([*journal.folder().glob("*/*.json")]) <= 5 + 4
    assert not [*journal.folder().glob("*.airflow-images")]


def test_a_folder_that_cannot_be_read_is_one_line(
    monkeypatch: pytest.MonkeyPatch, heard: Heard
) -> None:
    def refuse(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(DiskError, match=r"records: cannot be read: Permission denied$"):
        journal.find("last", heard)


def test_two_builds_within_one_second_are_one_after_the_other(heard: Heard) -> None:
    began = [f"2026-01-01T00:00:00.{number}+00:00" for number in (100000, 200000, 300000)]
    records = [BuildRecord("ci-3.11-amd64", run=str(n), began=at) for n, at in enumerate(began)]
    for record in records:
        journal.write(record)
    assert journal.previous(records[2], heard) == records[1]
    assert journal.previous(records[1], heard) == records[0]
    assert journal.previous(records[0], heard) is None


def test_what_buildx_notes_of_builds_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "KEEP_BUILDS", 2)
    stores = [paths.cache_folder() / "buildx", paths.builder_folder("b") / "buildx"]
    for store in stores:
        for folder in ("default/default", "__group__"):
            (store / "refs" / folder).mkdir(parents=True)
            for age in range(4):
                note = store / "refs" / folder / str(age)
                note.touch()
                os.utime(note, (1000 - age, 1000 - age))
    journal._prune_references()
    left = {path.name for store in stores for path in store.rglob("*") if path.is_file()}
    assert left == {"0", "1"}
