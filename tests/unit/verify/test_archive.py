from __future__ import annotations

import contextlib
import io
import json
import struct
import tracemalloc
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest
import zstandard
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from build_tasks import process
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import CommandError, DiskError, UsageError, VerificationError
from build_tasks.process import Command, Completed
from build_tasks.verify import archive
from build_tasks.verify.archive import Header

CLIENT = Client("docker", ("docker-buildx",), {"X": "1"})
HEADER = Header("prod-3.11-amd64", "r/i:latest", "prod", "3.11", "linux/amd64", "3.3.2")
FACTS = {
    "Os": "linux",
    "Architecture": "amd64",
    "Config": {"Labels": {"org.apache.airflow.python.version": "3.11"}},
}


class Engine:
    """Stands in for process: an engine that saves one content, and takes what is loaded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, content: bytes, facts: object) -> None:
        self.content, self.facts, self.loaded = content, facts, io.BytesIO()
        self.failure: Exception | None = None
        self.commands: list[Command] = []
        monkeypatch.setattr(process, "reading", self.reading)
        monkeypatch.setattr(process, "writing", self.writing)
        monkeypatch.setattr(process, "run", self.run)

    @contextlib.contextmanager
    def reading(self, command: Command, **_: object) -> Iterator[IO[bytes]]:
        self.commands.append(command)
        yield io.BytesIO(self.content)
        if self.failure:
            raise self.failure

    @contextlib.contextmanager
    def writing(self, command: Command, **_: object) -> Iterator[IO[bytes]]:
        self.commands.append(command)
        self.loaded = io.BytesIO()
        yield self.loaded

    def run(self, command: Command, **_: object) -> Completed:
        if self.facts is None:
            return Completed(command, 1, "", "No such image")
        return Completed(command, 0, json.dumps([self.facts]), "")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    return Engine(monkeypatch, b"layers" * 1000, FACTS)


def load(file: Path) -> None:
    with archive.opened(str(file)) as saved:
        archive.load(CLIENT, saved)


@given(
    fields=st.lists(st.text(max_size=300), min_size=6, max_size=6),
    content=st.binary(max_size=5000),
)
@effort(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_a_file_says_and_holds_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: list[str], content: bytes
) -> None:
    fields[3:5] = ["3.11", "linux/amd64"]
    said = Header(*fields)
    engine = Engine(monkeypatch, content, FACTS)
    file = tmp_path / "file"
    assert archive.save(CLIENT, said, str(file)) == file.stat().st_size
    with archive.opened(str(file)) as saved:
        assert saved.header == said
        archive.load(CLIENT, saved)
    assert engine.loaded.getvalue() == content


def test_zstd_reads_the_file_as_if_the_word_were_not_there(tmp_path: Path, engine: Engine) -> None:
    archive.save(CLIENT, HEADER, str(tmp_path / "file"))
    assert engine.commands == [("docker", "save", "r/i:latest")]
    with (tmp_path / "file").open("rb") as data:
        reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
        assert reader.read() == engine.content


def test_a_small_file_that_unpacks_to_gigabytes_takes_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """131 kB of this became 4.1 GB of memory."""
    blocks = 1024  # of 128 KiB, each told in four bytes: 128 MiB
    frame = b"\x28\xb5\x2f\xfd" + b"\x00\x58"  # no checksum, a window of 2 MiB
    for number in range(blocks):
        head = (128 * 1024) << 3 | 1 << 1 | (number == blocks - 1)
        frame += head.to_bytes(3, "little") + b"\0"
    engine = Engine(monkeypatch, b"", FACTS)
    archive.save(CLIENT, HEADER, str(tmp_path / "file"))
    content = (tmp_path / "file").read_bytes()
    _, size = struct.unpack("<II", content[:8])
    (tmp_path / "file").write_bytes(content[: 8 + size] + frame)
    got = []

    @contextlib.contextmanager
    def writing(_command: Command, **_: object) -> Iterator[object]:
        yield SimpleNamespace(write=lambda data: got.append(len(data)))

    monkeypatch.setattr(process, "writing", writing)
    tracemalloc.start()
    try:
        load(tmp_path / "file")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(got) == blocks * 128 * 1024
    assert max(got) <= 32 * 1024 * 1024
    assert peak < 80 * 1024 * 1024
    assert engine.commands[0] == ("docker", "save", "r/i:latest")


def test_no_half_file_stays(tmp_path: Path, engine: Engine) -> None:
    engine.failure = CommandError("why")
    with pytest.raises(CommandError, match="why"):
        archive.save(CLIENT, HEADER, str(tmp_path / "file"))
    engine.failure = KeyboardInterrupt()  # type: ignore[assignment]  # ^C is no Exception
    with pytest.raises(KeyboardInterrupt):
        archive.save(CLIENT, HEADER, str(tmp_path / "file"))
    engine.failure = OSError(28, "No space left on device")
    with pytest.raises(DiskError, match="file: cannot be written: No space left on device"):
        archive.save(CLIENT, HEADER, str(tmp_path / "file"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [".", "missing/file", "folder"])
def test_what_can_be_no_file_is_refused_before_anything_is_saved(
    tmp_path: Path, engine: Engine, name: str
) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="name a file in a folder that is there"):
        archive.save(CLIENT, HEADER, str(tmp_path / name))
    assert engine.commands == []


@given(content=st.binary(max_size=200))
@effort(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_else_is_read_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"is no file that image\.save wrote$"):
        load(file)


@given(at=st.integers(min_value=0), bit=st.integers(0, 7))
@effort(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_bit_that_fell_over_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, bit: int
) -> None:
    """In the word it may make another word; in the data it may not make other data."""
    engine = Engine(monkeypatch, b"".join(b"%d" % n**5 for n in range(500)), FACTS)
    file = tmp_path / "file"
    archive.save(CLIENT, HEADER, str(file))
    content = bytearray(file.read_bytes())
    start = 8 + len(json.dumps({"schema": 1, **asdict(HEADER)}))
    content[start + at % (len(content) - start)] ^= 1 << bit
    file.write_bytes(content)
    with contextlib.suppress(UsageError):
        load(file)
        assert engine.loaded.getvalue() == engine.content


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (None, r"has no image r/i:latest"),
        ({**FACTS, "Architecture": "arm64"}, "its image linux/arm64 and Python 3.11"),
        ({**FACTS, "Config": None}, "its image linux/amd64 and Python $"),
    ],
)
def test_an_image_that_is_not_what_the_file_says_is_found_out(
    tmp_path: Path, engine: Engine, facts: object, said: str
) -> None:
    archive.save(CLIENT, HEADER, str(tmp_path / "file"))
    engine.facts = facts
    with pytest.raises(VerificationError, match=said):
        load(tmp_path / "file")
