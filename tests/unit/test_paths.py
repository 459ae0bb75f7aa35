"""Atomic writes, and reading of text files."""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from pathlib import Path

import pytest

from build_tasks import paths
from build_tasks.errors import UsageError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_atomically(tmp_path: Path) -> None:
    file = tmp_path / "file"
    paths.write(file, "one")
    with file.open() as before:
        paths.write(file, "two")
        assert before.read() == "one"
    assert file.read_text() == "two"
    assert names(tmp_path) == ["file"]


def test_the_umask_applies(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        paths.write(tmp_path / "file", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    paths.write(file, "old")

    def fail() -> None:
        with paths.replacing(file) as output:
            output.write(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fail()
    assert file.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_concurrent_writes_of_one_file(tmp_path: Path) -> None:
    texts = [str(number) * 100_000 for number in range(8)]
    faults: list[BaseException] = []

    def work(text: str) -> None:
        try:
            for _ in range(20):
                paths.write(tmp_path / "file", text)
                assert (tmp_path / "file").read_text() in texts
        except BaseException as error:  # noqa: BLE001 - whatever it is
            faults.append(error)

    threads = [threading.Thread(target=work, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert names(tmp_path) == ["file"]


def test_only_temporary_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    left, used = ".other.0123abcd.airflow-images", ".file.89abcdef.airflow-images"
    others = [".file.new", ".file.0123abcd.new", "x.0123abcd.airflow-images"]
    for name in (left, used, *others):
        (tmp_path / name).touch()
    with (tmp_path / used).open() as another:
        fcntl.flock(another, fcntl.LOCK_EX)
        paths.write(tmp_path / "file", "text")
    assert names(tmp_path) == sorted([used, *others, "file"])


def test_a_temporary_file_removed_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock
    raced: list[str] = []

    def racing(descriptor: int, how: int) -> None:
        if not raced:
            raced.extend(names(tmp_path))
            (tmp_path / raced[0]).unlink()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", racing)
    paths.write(tmp_path / "file", "text")
    assert len(raced) == 1
    assert names(tmp_path) == ["file"]


def test_the_temporary_name_of_a_long_name_is_short_enough(tmp_path: Path) -> None:
    name = "\u00e4" * 127
    paths.write(tmp_path / name, "text")
    assert names(tmp_path) == [name]


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "target").write_text("old")
    (tmp_path / "link").symlink_to("folder/target")
    (tmp_path / "new").symlink_to("folder/other")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("link", "new"):
        paths.write(tmp_path / name, name)
        assert (tmp_path / name).is_symlink()
    assert (tmp_path / "folder" / "target").read_text() == "link"
    assert (tmp_path / "folder" / "other").read_text() == "new"
    assert names(tmp_path / "folder") == ["other", "target"]
    with pytest.raises(OSError, match="symbolic links"):
        paths.write(tmp_path / "loop", "x")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        paths.write(tmp_path, "x")


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        paths.write(tmp_path / "link", "text")
        assert os.read(reader, 100) == b"text"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert names(tmp_path) == ["link", "pipe"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="there is no /proc")
def test_an_open_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w+b") as opened:
        (tmp_path / "stdout").symlink_to(f"/proc/self/fd/{opened.fileno()}")
        inode = (tmp_path / "file").stat().st_ino
        paths.write(tmp_path / "stdout", "text")
        assert opened.read() == b"text"
    assert (tmp_path / "file").stat().st_ino == inode
    assert names(tmp_path) == ["file", "stdout"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes device nodes")
def test_a_device_is_written_to(tmp_path: Path) -> None:
    null = tmp_path / "null"
    try:
        os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        null.write_bytes(b"")
    except PermissionError:
        pytest.skip("no device nodes can be made here")
    paths.write(null, "text")
    assert stat.S_ISCHR(null.stat().st_mode)
    assert names(tmp_path) == ["null"]


def test_files_are_kept_by_their_content_with_fixed_modes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_IMAGES_CACHE", str(tmp_path))
    before = os.umask(0o077)
    try:
        folder = paths.keep("kind", {"a/b/c.txt": b"x\n", "a/d.txt": b"y\n"})
    finally:
        os.umask(before)
    assert folder.parent == tmp_path / "kept" / "kind"
    assert (folder / "a/b/c.txt").read_text() == "x\n"
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*.txt")} == {0o644}
    assert {path.stat().st_mode & 0o777 for path in (folder, folder / "a/b")} == {0o755}
    again = {"a/d.txt": b"y\n", "a/b/c.txt": b"x\n"}
    assert paths.keep("kind", again) == folder
    assert paths.keep("kind", {"a/d.txt": b"y\nx\n"}) != folder
    assert len(names(folder.parent)) == 2


def test_processes_that_keep_the_same_files_at_once_do_not_disturb_each_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_IMAGES_CACHE", str(tmp_path))
    rename = Path.rename

    def late(fresh: Path, folder: Path) -> Path:
        rename(fresh, folder)  # that of the other process
        fresh.mkdir()
        return rename(fresh, folder)

    monkeypatch.setattr(Path, "rename", late)
    folder = paths.keep("kind", {"a": b"x"})
    assert (folder / "a").read_bytes() == b"x"
    assert names(tmp_path / "kept" / "kind") == [folder.name]


def test_a_link_is_replaced(tmp_path: Path) -> None:
    link = tmp_path / "folder" / "link"
    for target in ("one", "two"):
        paths.link(link, Path(target))
        assert link.readlink() == Path(target)
    assert names(tmp_path / "folder") == ["link"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"a\n", "a\n"),
        (b"\xef\xbb\xbfa\r\n", "a\r\n"),
        (b"\xef\xbb\xbf", ""),
        ("ü".encode(), "ü"),
    ],
)
def test_a_text_is_read_without_a_byte_order_mark(
    tmp_path: Path, content: bytes, text: str
) -> None:
    (tmp_path / "a").write_bytes(content)
    assert paths.read_text(tmp_path / "a") == text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a\nb\xff\n", "line 2 is not UTF-8"),
        ("a".encode("utf-16"), "it is UTF-16, not UTF-8"),
        (b"\xfe\xff\x00a", "it is UTF-16, not UTF-8"),
    ],
)
def test_a_file_that_is_no_text_is_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "a"
    file.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        paths.read_text(file)
    assert str(caught.value) == f"{file}: cannot be read: {reason}"


def test_a_path_that_is_no_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r": cannot be read: Is a directory$"):
        paths.read_text(tmp_path)
    with pytest.raises(UsageError, match=r": cannot be read: embedded null byte$"):
        paths.read_text(tmp_path / "\0")
    with pytest.raises(UsageError, match=r": cannot be read: No such file or directory$"):
        paths.read_text(tmp_path / "none")


@pytest.mark.parametrize("text", ["", "[1]", "null", "{", "[" * 100_000])
def test_what_is_no_json_table_is_an_empty_one(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    assert paths.read_json(file) == {}


def test_a_json_table_is_read(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text('{"a": 1}', encoding="utf-8-sig")
    assert paths.read_json(file) == {"a": 1}
    assert paths.read_json(tmp_path) == {}
    file.write_bytes(b'{"a": "\xff"}')
    assert paths.read_json(file) == {}
