"""Which files are read again."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from build_tasks.errors import UsageError
from build_tasks.inputs import context, file_hashes
from build_tasks.inputs.context import Allowed, Prepared
from build_tasks.inputs.file_hashes import ChangedError


def prepare(root: Path) -> Prepared:
    return context.prepare(root, Allowed(everything=True), pytest.fail)


@pytest.fixture
def read(tree: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read; none of them is too young to trust."""
    monkeypatch.setattr(file_hashes, "REST", -(10**18))
    names: list[str] = []
    before = file_hashes.pieces

    def pieces(path: str) -> Iterator[bytes]:
        names.append(path.rpartition("/")[2])
        return before(path)

    monkeypatch.setattr(file_hashes, "pieces", pieces)
    return names


def test_unchanged_files_are_not_read_again(tree: Path, read: list[str]) -> None:
    first = prepare(tree)
    assert read == ["one.py", "run", "two"]
    assert prepare(tree) == first
    assert read == ["one.py", "run", "two"]


def test_an_edit_that_keeps_size_and_time_is_seen(tree: Path, read: list[str]) -> None:
    first, seen = prepare(tree), (tree / "two").stat()
    (tree / "two").write_text("3")
    os.utime(tree / "two", ns=(seen.st_atime_ns, seen.st_mtime_ns))
    second = prepare(tree)
    assert read[3:] == ["two", "two"]  # to know it, and to copy it
    assert (first.folder / "two").read_text() == "2"
    assert (second.folder / "two").read_text() == "3"
    times = [(one.folder / "two").stat().st_mtime for one in (first, second)]
    assert times[0] != times[1]


def test_a_file_that_was_replaced_is_seen(tree: Path, read: list[str]) -> None:
    prepare(tree)
    (tree / "new").write_text("3")
    (tree / "new").replace(tree / "two")
    assert (prepare(tree).folder / "two").read_text() == "3"


def test_a_file_that_was_just_written_is_read_again(
    tree: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_hashes, "REST", 10**18)
    assert prepare(tree) == prepare(tree)
    assert len(read) == 6


def test_a_touched_file_makes_no_other_snapshot(tree: Path, read: list[str]) -> None:
    first = prepare(tree)
    os.utime(tree / "two", (1, 1))
    assert prepare(tree) == first
    assert read[3:] == ["two"]


def test_a_damaged_index_is_ignored(tree: Path) -> None:
    first = prepare(tree)
    index = file_hashes.home(tree.resolve()) / "index.json"
    for text in ("{", "[0, {}, '']", "[]"):
        index.write_text(text)
        assert prepare(tree) == first


def test_a_file_replaced_during_the_read_has_changed(tree: Path) -> None:
    (tree / "link").symlink_to("two")
    for name, link in (("gone", False), ("two", True), ("a", False), ("link", False)):
        with pytest.raises(ChangedError):
            file_hashes.content(str(tree / name), link=link)


def test_a_file_that_cannot_be_read_is_one_line(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UsageError, match="two: cannot be read: Permission denied"):
        file_hashes.content(str(tree / "two"), link=False)
