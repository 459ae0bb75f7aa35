"""A checkout in two layers."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from build_tasks import paths
from build_tasks.errors import DiskError
from build_tasks.inputs import context, layers, snapshot
from build_tasks.inputs.context import Allowed
from build_tasks.inputs.layers import NAME, Layers

MANY = 10


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    for number in range(MANY):
        file = root / f"folder/{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{number}")
    return root


def prepare(root: Path, **made: Path) -> Layers:
    named = {name.replace("_", "/"): place for name, place in made.items()}
    return layers.prepare(root, Allowed(everything=True), pytest.fail, named)


def files(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder / NAME).as_posix(): file.read_text()
        for file in folder.rglob("*")
        if file.is_file()
    }


def both(found: Layers) -> dict[str, str]:
    """Return the files as an image has them."""
    return files(found.base.folder) | files(found.changes.folder)


def test_at_first_all_files_are_in_the_first_layer(checkout: Path) -> None:
    found = prepare(checkout)
    assert files(found.base.folder) == {f"folder/{n}.py": f"{n}" for n in range(MANY)}
    assert [*found.changes.folder.iterdir()] == [found.changes.folder / NAME]
    assert prepare(checkout) == found


def test_an_edit_changes_the_second_layer_alone(checkout: Path) -> None:
    before = prepare(checkout)
    (checkout / "folder/1.py").write_text("edited")
    (checkout / "new.py").write_text("new")
    found = prepare(checkout)
    assert found.base == before.base
    assert found.changes.files.keys() == {"folder/1.py", "new.py"}
    assert files(found.changes.folder) == {"folder/1.py": "edited", "new.py": "new"}
    (checkout / "folder/1.py").write_text("1")
    (checkout / "new.py").unlink()
    assert prepare(checkout) == before


def test_a_file_of_the_first_layer_that_is_gone_begins_anew(checkout: Path) -> None:
    """A layer cannot remove what the one below has."""
    before = prepare(checkout)
    (checkout / "folder/1.py").rename(checkout / "folder/moved.py")
    found = prepare(checkout)
    assert found.base.folder != before.base.folder
    assert both(found).keys() == {
        file.relative_to(checkout).as_posix() for file in checkout.rglob("*.py")
    }
    assert found.changes.files == {}


def test_too_many_changes_begin_anew(checkout: Path) -> None:
    before = prepare(checkout)
    bases = []
    for number in range(4):
        (checkout / f"folder/{number}.py").write_text("edited")
        found = prepare(checkout)
        bases.append(found.base == before.base)
        assert both(found) == {
            file.relative_to(checkout).as_posix(): file.read_text()
            for file in checkout.rglob("*.py")
        }
    assert bases == [True, True, False, False]


def test_a_mode_and_a_link_are_changes(checkout: Path) -> None:
    before = prepare(checkout)
    (checkout / "folder/1.py").chmod(0o755)
    (checkout / "folder/2.py").unlink()
    (checkout / "folder/2.py").symlink_to("1.py")
    found = prepare(checkout)
    assert found.base == before.base
    assert os.access(found.changes.folder / NAME / "folder/1.py", os.X_OK)
    assert (found.changes.folder / NAME / "folder/2.py").is_symlink()


def test_groups_may_write_beside_the_files(checkout: Path) -> None:
    (checkout / "folder/1.py").write_text("edited")
    found = prepare(checkout)
    for folder in (found.base.folder, found.changes.folder):
        assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_dir()} == {
            0o775
        }


def test_files_that_git_ignores_enter_where_they_are_named(checkout: Path) -> None:
    (checkout / ".dockerignore").write_text("**\n!folder\n")
    (checkout / "dist").mkdir()
    made = checkout / "dist/index.html"
    made.write_text("made")
    assert "dist/index.html" not in both(prepare(checkout))
    assert both(prepare(checkout, **{"dist/index.html": made}))["dist/index.html"] == "made"
    assert ".dockerignore" not in both(prepare(checkout))


def test_the_first_layer_stays_while_it_is_used(checkout: Path) -> None:
    """Snapshots are removed that were not used for a day."""
    before = prepare(checkout)
    old = time.time() - snapshot.KEPT - 60
    for path in before.base.folder.parent.iterdir():
        if path.is_dir() and path != before.base.folder:
            os.utime(path, (old, old))
    os.utime(before.base.folder, (old + 120, old + 120))
    (checkout / "folder/1.py").write_text("edited")
    found = prepare(checkout)
    assert found.base == before.base
    assert not before.changes.folder.exists()
    (checkout / "folder/1.py").write_text("edited again")
    os.utime(found.base.folder, (old, old))
    again = prepare(checkout)
    assert both(again)["folder/1.py"] == "edited again"
    assert again.base.folder != before.base.folder


def test_a_context_of_the_same_folder_leaves_the_layers(checkout: Path) -> None:
    """Its snapshots that were not used for a day are removed; the layers are not among them."""
    allowed = Allowed(everything=True)
    context.prepare(checkout, allowed, pytest.fail)
    before = prepare(checkout)
    home = before.base.folder.parent
    os.utime(home, (0, 0))
    (checkout / "new.py").write_text("new")
    context.prepare(checkout, allowed, pytest.fail)
    assert before.base.folder.is_dir()


def test_a_damaged_record_begins_anew(checkout: Path) -> None:
    before = prepare(checkout)
    (before.base.folder.parent / "layers.json").write_text("[")
    (checkout / "folder/1.py").write_text("edited")
    assert both(prepare(checkout))["folder/1.py"] == "edited"


def test_what_an_interrupted_run_left_is_no_matter(checkout: Path) -> None:
    prepare(checkout)
    (checkout / "folder/1.py").write_text("edited")
    home = next((paths.cache_folder() / "contexts").glob("*-checkout"))
    (home / "changes-new/rest").mkdir(parents=True)
    found = prepare(checkout)
    assert files(found.changes.folder) == {"folder/1.py": "edited"}


def test_a_key_joins_the_folders_of_one_repository(checkout: Path, tmp_path: Path) -> None:
    first = layers.prepare(checkout, Allowed(everything=True), pytest.fail, key="git+https://h/r")
    moved = checkout.rename(tmp_path / "other")
    (moved / "folder/1.py").write_text("edited")
    second = layers.prepare(moved, Allowed(everything=True), pytest.fail, key="git+https://h/r")
    assert second.base == first.base
    assert second.changes.files.keys() == {"folder/1.py"}


def test_a_full_disk_is_one_line(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(paths, "write", refuse)
    with pytest.raises(DiskError, match=r"cannot be written: No space left on device"):
        prepare(checkout)
