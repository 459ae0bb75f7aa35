"""The file base.lock."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from build_tasks.errors import DiskError, UsageError
from build_tasks.inputs import base_lock
from build_tasks.inputs.base_lock import LockedBase

ONE, TWO = (f"sha256:{digit * 64}" for digit in "12")
BASE = LockedBase("registry:5/python:3.9", ONE, {"linux/arm64": TWO, "linux/amd64": ONE})
TEXT = f"""\
schema = 1
[python."3.9"]
reference = "r:1"
digest = "{ONE}"
platforms = {{ "linux/amd64" = "{TWO}" }}
"""


def test_what_is_written_is_read(tmp_path: Path) -> None:
    bases = {"3.11": BASE, "3.9": LockedBase('a"b', TWO, {"linux/amd64": ONE})}
    file = base_lock.write(tmp_path, bases)
    assert base_lock.read(tmp_path) == bases
    assert list(tomllib.loads(file.read_text())["python"]) == ["3.9", "3.11"]
    before = file.read_bytes()
    base_lock.write(tmp_path, base_lock.read(tmp_path))
    assert file.read_bytes() == before


def test_a_reference_is_pinned_by_its_index() -> None:
    assert BASE.pinned == f"registry:5/python:3.9@{ONE}"
    assert LockedBase(f"python@{ONE}", ONE, {}).pinned == f"python@{ONE}"


def test_a_missing_file_says_how_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"base\.lock: does not exist: .* base\.update$"):
        base_lock.read(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema = 1", "schema = 2", "was written by another version"),
        ("schema = 1", "", "is no lock file, or was edited by hand"),
        ("schema = 1", "schema =", "is no lock file, or was edited by hand"),
        (ONE, "sha256:1", "is no lock file, or was edited by hand"),
        (TWO, f"{TWO}0", "is no lock file, or was edited by hand"),
        (f'"{ONE}"', "1", "is no lock file, or was edited by hand"),
        ('"r:1"', '""', "is no lock file, or was edited by hand"),
        ('"r:1"', '"--help"', "is no lock file, or was edited by hand"),
        ('"r:1"', '"r 1"', "is no lock file, or was edited by hand"),
        ("platforms = {", "platforms = {} # {", "is no lock file, or was edited by hand"),
        ("platforms = {", "# {", "is no lock file, or was edited by hand"),
        ('"r:1"', "[]", "is no lock file, or was edited by hand"),
        ('"3.9"', '"latest"', "is no lock file, or was edited by hand"),
        ("platforms", "platform", "is no lock file, or was edited by hand"),
        ('{ "linux', '{ "a" = 1, "linux', "is no lock file, or was edited by hand"),
    ],
)
def test_a_file_of_another_form_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    (tmp_path / "base.lock").write_text(TEXT)
    assert base_lock.read(tmp_path) == {"3.9": LockedBase("r:1", ONE, {"linux/amd64": TWO})}
    (tmp_path / "base.lock").write_text(TEXT.replace(old, new))
    with pytest.raises(UsageError, match=message):
        base_lock.read(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "base.lock").mkdir()
    with pytest.raises(DiskError, match=r"base\.lock: cannot be written"):
        base_lock.write(tmp_path, {"3.9": BASE})
