"""Snapshots of folders: what they have, and what is copied."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from build_tasks.errors import DiskError, ImagesError, UsageError
from build_tasks.inputs import context, file_hashes, snapshot
from build_tasks.inputs.context import Allowed, Prepared
from build_tasks.inputs.file_hashes import ChangedError
from build_tasks.process import locks

EVERYTHING = Allowed(everything=True)


def prepare(root: Path) -> Prepared:
    said: list[str] = []
    found = context.prepare(root, EVERYTHING, said.append)
    assert [line for line in said if not line.startswith("waiting for ")] == []
    return found


def test_a_wait_for_another_copy_names_its_process(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    home = file_hashes.home(tree)
    lines: SimpleQueue[str] = SimpleQueue()
    with ThreadPoolExecutor() as pool:
        with locks.hold(home / "lock", "copies the files", lines.put):
            prepared = pool.submit(context.prepare, tree, EVERYTHING, lines.put)
            line = lines.get(timeout=30)
        assert set(prepared.result(30).files) == {"a/one.py", "a/run", "two"}
    assert line == f"waiting for process {os.getpid()}, which copies the files of {tree}"


def modes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): oct(path.lstat().st_mode & 0o7777)
        for path in folder.rglob("*")
        if not path.is_symlink()
    }


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077, 0o000])
def test_modes_do_not_depend_on_the_umask(tree: Path, umask: int) -> None:
    for path in tree.rglob("*"):
        path.chmod(path.stat().st_mode & ~umask)
    before = os.umask(umask)
    try:
        found = prepare(tree)
    finally:
        os.umask(before)
    assert modes(found.folder) == {
        "a": "0o755",
        "a/one.py": "0o644",
        "a/run": "0o755",
        "two": "0o644",
    }
    assert [text[:7] for text in found.files.values()] == ["100644 ", "100755 ", "100644 "]
    assert stat.S_IMODE(found.folder.stat().st_mode) == 0o755


def test_the_users_files_are_neither_touched_nor_linked(tree: Path) -> None:
    before = {path: path.stat() for path in tree.rglob("*")}
    found = prepare(tree)
    (tree / "two").write_text("edited in place")
    assert (found.folder / "two").read_text() == "2"
    assert all(path.stat().st_nlink == seen.st_nlink for path, seen in before.items())
    assert all(path.stat().st_mode == seen.st_mode for path, seen in before.items())


def test_only_changed_files_are_copied(tree: Path) -> None:
    first = prepare(tree)
    (tree / "two").write_text("3")
    second = prepare(tree)
    same, other = ([one.folder / name for one in (first, second)] for name in ("a/run", "two"))
    assert same[0].samefile(same[1])
    assert not other[0].samefile(other[1])


def test_without_hard_links_all_is_copied(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMLINK, "Too many links")

    first = prepare(tree)
    (tree / "two").write_text("3")
    monkeypatch.setattr(os, "link", refuse)
    assert modes(prepare(tree).folder) == modes(first.folder)


def test_links_stay_links_and_other_things_stay_out(tree: Path) -> None:
    (tree / "link").symlink_to("two")
    (tree / "folder").symlink_to("a")
    (tree / "nowhere").symlink_to("/no/such")
    os.mkfifo(tree / "pipe")
    (tree / "empty").mkdir()
    found = prepare(tree)
    kinds = {path: text[:6] for path, text in found.files.items()}
    assert kinds == {
        "a/one.py": "100644",
        "a/run": "100755",
        "folder": "120000",
        "link": "120000",
        "nowhere": "120000",
        "two": "100644",
    }
    links = ("link", "folder", "nowhere")
    assert [str((found.folder / name).readlink()) for name in links] == ["two", "a", "/no/such"]
    assert not (found.folder / "empty").exists()
    (tree / "link").unlink()
    (tree / "link").symlink_to("new")
    assert str((prepare(tree).folder / "link").readlink()) == "new"


def test_a_new_snapshot_removes_old_and_unfinished_ones(tree: Path) -> None:
    first = prepare(tree)
    (tree / "two").write_text("3")
    second = prepare(tree)
    home = file_hashes.home(tree.resolve())
    os.utime(first.folder.parent, (1, 1))
    (home / "new" / "half").mkdir(parents=True)
    (tree / "two").write_text("4")
    third = prepare(tree)
    kept = {path for path in home.iterdir() if path.is_dir()}
    assert kept == {second.folder.parent, third.folder.parent}


def test_a_removed_snapshot_is_written_again(tree: Path) -> None:
    first = prepare(tree)
    shutil.rmtree(first.folder.parent)
    assert prepare(tree) == first
    assert (first.folder / "two").read_text() == "2"


def test_builds_at_once_share_a_snapshot(tree: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(prepare, [tree] * 24))
    assert all(one == found[0] for one in found)
    assert (found[0].folder / "two").read_text() == "2"


def test_builds_while_files_are_edited_keep_what_they_began_with(tree: Path) -> None:
    def edit(number: int) -> Prepared:
        new = tree.with_name(str(number))
        new.write_text(str(number))
        new.replace(tree / "two")
        return prepare(tree)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(edit, range(24)))
    for one in found:
        assert file_hashes.of(one.folder, dict.fromkeys(one.files)) == one.files


@pytest.mark.parametrize("name", ["two", "link"])
def test_a_file_that_changes_while_it_is_copied_is_read_again(
    tree: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before: Callable[..., None] = snapshot.write
    times = iter(range(9))
    (tree / "link").symlink_to("0")
    prepare(tree)

    def edit(text: str) -> None:
        (tree / name).unlink()
        if name == "link":
            (tree / name).symlink_to(text)
        else:
            (tree / name).write_text(text)

    def write(*arguments: object) -> None:
        if next(times) < 2:
            edit("another")
            monkeypatch.setattr(file_hashes, "REST", 10**18)
        before(*arguments)

    edit("edited")
    monkeypatch.setattr(snapshot, "write", write)
    found = prepare(tree)
    assert file_hashes.of(found.folder, dict.fromkeys(found.files)) == found.files
    assert next(times) >= 2


def test_files_that_always_change_are_one_line(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(*_: object) -> None:
        raise ChangedError

    monkeypatch.setattr(snapshot, "_copy", changed)
    with pytest.raises(ImagesError, match="its files change while they are read"):
        prepare(tree)


@pytest.mark.parametrize("name", ["two", "link"])
def test_a_file_removed_during_the_copy_has_changed(tree: Path, name: str) -> None:
    (tree / "link").symlink_to("x")
    (tree / name).unlink()
    with pytest.raises(ChangedError):
        snapshot._copy(str(tree / name), str(tree / "copy"), "100644")


def test_a_file_that_became_a_pipe_or_a_link_has_changed(tree: Path) -> None:
    (tree / "link").symlink_to("two")
    os.mkfifo(tree / "pipe")
    for name in ("link", "pipe"):  # it does not wait for who writes
        with pytest.raises(ChangedError):
            snapshot._copy(str(tree / name), str(tree / f"copy of {name}"), "100644")


def test_a_file_of_any_length_is_copied_whole(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = os.urandom(file_hashes._PIECE * 2 + 1)
    (tree / "two").write_bytes(content)
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, piece: write(file, piece[:40_000]))
    digest = snapshot._copy(str(tree / "two"), str(tree / "copy"), "100755")
    assert (tree / "copy").read_bytes() == content
    assert digest == hashlib.sha256(content).hexdigest()[:32]


def test_a_snapshot_whose_index_is_gone_is_used_again(tree: Path) -> None:
    first = prepare(tree)
    home = first.folder.parents[1]
    (home / "index.json").unlink()
    assert prepare(tree) == first
    assert [path for path in home.iterdir() if path.is_dir()] == [first.folder.parent]


def test_a_first_snapshot_that_fails_leaves_nothing(tree: Path) -> None:
    (tree / "z").symlink_to(os.fsdecode(b"\xff"))
    with pytest.raises(UsageError, match="its target is not UTF-8"):
        prepare(tree)
    assert not [path for path in file_hashes.home(tree).iterdir() if path.is_dir()]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_cache_folder_is_one_line(
    tree: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "No")

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(DiskError, match=": cannot be written: No"):
        prepare(tree)


CHANGE = st.tuples(
    st.sampled_from(["a", "b", "d/a", "d/e/a", "d", "d/e"]),
    st.sampled_from(["write", "run", "link", "remove"]),
    st.sampled_from(["1", "2", "33"]),
)


def apply(root: Path, path: str, change: str, text: str) -> None:
    file = root / path
    for above in reversed(file.relative_to(root).parents[:-1]):
        if not (root / above).is_dir() or (root / above).is_symlink():
            (root / above).unlink(missing_ok=True)
            (root / above).mkdir()
    if file.is_dir() and not file.is_symlink():
        shutil.rmtree(file)
    file.unlink(missing_ok=True)
    if change == "remove":
        return
    if change == "link":
        file.symlink_to(text)
    else:
        file.write_text(text)
        file.chmod(0o700 if change == "run" else 0o600)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(CHANGE, max_size=4), min_size=1, max_size=4))
def test_a_snapshot_equals_the_tree_after_any_history(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[tuple[str, str, str]]]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    for changes in rounds:
        for change in changes:
            apply(root, *change)
        found = prepare(root)
        there = {
            str(path.relative_to(root)): str(path.readlink())
            if path.is_symlink()
            else (path.read_text(), bool(path.stat().st_mode & 0o100))
            for path in root.rglob("*")
            if path.is_symlink() or path.is_file()
        }
        sent = {
            path: str((found.folder / path).readlink())
            if text.startswith("120000")
            else ((found.folder / path).read_text(), text.startswith("100755"))
            for path, text in found.files.items()
        }
        assert sent == there
