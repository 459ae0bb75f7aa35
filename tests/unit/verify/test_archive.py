from __future__ import annotations

import contextlib
import io
import json
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import archives
import pytest
import zstandard
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from build_tasks import process
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import CommandError, DiskError, UsageError, VerificationError
from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.process import Command, Completed
from build_tasks.verify import archive
from build_tasks.verify.target import Image

CLIENT = Client("docker", ("docker-buildx",), {"X": "1"})
LABELS = {
    "org.apache.airflow.image": "airflow",
    "org.apache.airflow.python.version": "3.11",
    "org.apache.airflow.version": "3.3.2",
}
CONFIG = {"os": "linux", "architecture": "amd64", "config": {"Labels": LABELS}}
FACTS = {"Os": "linux", "Architecture": "amd64", "Config": {"Labels": LABELS}}
SAVED = (Image("r/i:latest", FACTS), Build(ImageKind.PROD, "3.11", Platform.AMD64))
ARCHIVE = archives.make("r/i:latest", CONFIG)


class Engine:
    """Fake process: an engine that saves one archive, and takes what is loaded."""

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
    return Engine(monkeypatch, ARCHIVE, FACTS)


def load(
    file: Path, accept: Callable[[Image, Build], None] = lambda *_: None
) -> tuple[Image, Build]:
    with archive.opened(str(file)) as chunks:
        return archive.load(CLIENT, str(file), chunks, accept)


def compressed(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


def has_end(loaded: bytes) -> bool:
    """Return whether the engine got a block of zeros, which ends an archive."""
    blocks = (loaded[at : at + 512] for at in range(0, len(loaded), 512))
    return bytes(512) in blocks


def test_a_saved_image_is_loaded(tmp_path: Path, engine: Engine) -> None:
    file = tmp_path / "file"
    assert archive.save(CLIENT, "r/i:latest", str(file)) == file.stat().st_size
    assert engine.commands == [("docker", "save", "r/i:latest")]
    accepted: list[object] = []
    assert load(file, lambda *saved: accepted.append(saved)) == SAVED
    assert accepted == [SAVED]
    assert has_end(engine.loaded.getvalue())
    assert ARCHIVE.startswith(engine.loaded.getvalue().rstrip(b"\0"))


@pytest.mark.parametrize(
    "frames",
    [
        # As this suite saved images before.
        (struct.pack("<II", 0x184D2A50, 5) + b"hello", compressed(ARCHIVE)),
        # As pzstd compresses.
        (compressed(ARCHIVE[:5000]), compressed(ARCHIVE[5000:])),
    ],
)
def test_a_file_may_have_several_frames(
    tmp_path: Path, engine: Engine, frames: tuple[bytes, ...]
) -> None:
    (tmp_path / "file").write_bytes(b"".join(frames))
    assert load(tmp_path / "file") == SAVED
    assert has_end(engine.loaded.getvalue())


def test_a_refused_image_is_not_loaded(tmp_path: Path, engine: Engine) -> None:
    def refuse(_: Image, build: Build) -> None:
        raise UsageError(f"is {build.identity}")

    (tmp_path / "file").write_bytes(compressed(ARCHIVE))
    with pytest.raises(UsageError, match=r"^is prod-3.11-amd64$"):
        load(tmp_path / "file", refuse)
    assert not has_end(engine.loaded.getvalue())


def test_a_small_file_that_unpacks_to_gigabytes_takes_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """131 kB of this took 4.1 GB of memory."""
    blocks = 1024  # of 128 KiB, each of four bytes: 128 MiB
    frame = b"\x28\xb5\x2f\xfd" + b"\x00\x58"  # no checksum, a window of 2 MiB
    for number in range(blocks):
        head = (128 * 1024) << 3 | 1 << 1 | (number == blocks - 1)
        frame += head.to_bytes(3, "little") + b"\0"
    Engine(monkeypatch, b"", FACTS)
    (tmp_path / "file").write_bytes(compressed(ARCHIVE.rstrip(b"\0")) + frame)
    written = []

    @contextlib.contextmanager
    def writing(_command: Command, **_: object) -> Iterator[object]:
        yield SimpleNamespace(write=lambda data: written.append(len(data)))

    monkeypatch.setattr(process, "writing", writing)
    tracemalloc.start()
    try:
        load(tmp_path / "file")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert max(written) <= 32 * 1024 * 1024
    assert peak < 80 * 1024 * 1024


def test_a_failed_save_leaves_no_file(tmp_path: Path, engine: Engine) -> None:
    engine.failure = CommandError("why")
    with pytest.raises(CommandError, match="why"):
        archive.save(CLIENT, "r/i:latest", str(tmp_path / "file"))
    engine.failure = KeyboardInterrupt()  # type: ignore[assignment]  # ^C is no Exception
    with pytest.raises(KeyboardInterrupt):
        archive.save(CLIENT, "r/i:latest", str(tmp_path / "file"))
    engine.failure = OSError(28, "No space left on device")
    with pytest.raises(DiskError, match="file: cannot be written: No space left on device"):
        archive.save(CLIENT, "r/i:latest", str(tmp_path / "file"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [".", "missing/file", "folder"])
def test_an_impossible_file_is_refused_before_anything_is_saved(
    tmp_path: Path, engine: Engine, name: str
) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="expected a file in an existing folder"):
        archive.save(CLIENT, "r/i:latest", str(tmp_path / name))
    assert engine.commands == []


@given(content=st.binary(max_size=200))
@effort(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_other_file_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    Engine(monkeypatch, b"", FACTS)
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"is not a file that image\.save wrote$|is damaged: "):
        load(file)


def without(path: str) -> dict[str, Any]:
    return {name: value for name, value in CONFIG.items() if name != path}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        archives.make("r/i:latest"),
        archives.make("r/i:latest", without("config")),
        archives.make("r/i:latest", {**CONFIG, "architecture": "s390x"}),
        archives.make("r/i:latest", {**CONFIG, "config": {"Labels": None}}),
        archives.make("r/i:latest", CONFIG, **{"manifest.json": b"[" * 60_000}),
        archives.make("r/i:latest", CONFIG, **{"manifest.json": b"[]"}),
        archives.make("r/i:latest", CONFIG, **{"manifest.json": b"\xff"}),
        archives.make("r/i:latest", CONFIG, **{"manifest.json": b'[{"Config": 1}]'}),
    ],
)
def test_another_archive_is_not_loaded(tmp_path: Path, engine: Engine, content: bytes) -> None:
    (tmp_path / "file").write_bytes(compressed(content))
    with pytest.raises(UsageError, match=r"is not a file that image\.save wrote$"):
        load(tmp_path / "file")
    assert not has_end(engine.loaded.getvalue())


@given(end=st.integers(min_value=5))
@effort(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_truncated_file_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: int
) -> None:
    engine = Engine(monkeypatch, ARCHIVE, FACTS)
    content = compressed(ARCHIVE)
    (tmp_path / "file").write_bytes(content[: 5 + end % (len(content) - 5)])
    with pytest.raises(UsageError, match="is damaged: its end is missing"):
        load(tmp_path / "file")
    assert not has_end(engine.loaded.getvalue())


@given(at=st.integers(min_value=0), bit=st.integers(0, 7))
@effort(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_flipped_bit_is_detected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, bit: int
) -> None:
    engine = Engine(monkeypatch, ARCHIVE, FACTS)
    content = bytearray(compressed(ARCHIVE))
    content[at % len(content)] ^= 1 << bit
    (tmp_path / "file").write_bytes(content)
    try:
        load(tmp_path / "file")
    except UsageError:
        assert not has_end(engine.loaded.getvalue())
    else:
        assert ARCHIVE.startswith(engine.loaded.getvalue().rstrip(b"\0"))


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (None, "does not have r/i:latest after loading"),
        ({**FACTS, "Architecture": "arm64"}, "is now linux/arm64 and Python 3.11"),
        ({**FACTS, "Config": None}, "is now linux/amd64 and Python $"),
    ],
)
def test_another_image_after_loading_is_an_error(
    tmp_path: Path, engine: Engine, facts: object, message: str
) -> None:
    archive.save(CLIENT, "r/i:latest", str(tmp_path / "file"))
    engine.facts = facts
    with pytest.raises(VerificationError, match=message):
        load(tmp_path / "file")


def test_an_engine_that_does_not_read_the_image_is_an_error(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.save(CLIENT, "r/i:latest", str(tmp_path / "file"))

    def fail(_: object) -> None:
        raise BrokenPipeError

    @contextlib.contextmanager
    def writing(*_: object, **__: object) -> Iterator[object]:
        with contextlib.suppress(BrokenPipeError):
            yield SimpleNamespace(write=fail)

    monkeypatch.setattr(process, "writing", writing)
    with pytest.raises(CommandError, match="docker load ended before it read the image"):
        load(tmp_path / "file")
