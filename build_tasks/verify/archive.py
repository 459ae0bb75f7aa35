"""Images as files: what `docker save` writes, compressed with zstd, with a word on what it is.

The word stands in a skippable frame before the data, so that zstd itself reads the file as if it
were not there (RFC 8878, 3.1.2).
"""

from __future__ import annotations

import contextlib
import json
import struct
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from build_tasks import paths, process
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import DiskError, UsageError, VerificationError
from build_tasks.verify import target

SCHEMA = 1
_MAGIC = 0x184D2A50
_LARGEST = 64 * 1024
#: Bytes that are unpacked at once. Four bytes can become a block of 128 KiB (RFC 8878, 3.1.1.2),
#: so these become at most 32 MiB.
_CHUNK = 1024
#: Bytes that are read at once.
_BUFFER = 1024 * 1024
#: In place of a file: standard output, or standard input.
STREAM = "-"
#: zstd's own default is 3; more costs time that slow uploads may be worth, and gains little on
#: layers that are compressed already.
_LEVEL = 3


@dataclass(frozen=True)
class Header:
    """What a file says of the image in it.

    Args:
        identity: the build's name.
        image: the reference that loading gives back.
        kind: which of Airflow's images it is.
        python: its Python.
        platform: its platform.
        airflow: its release of Airflow.
    """

    identity: str
    image: str
    kind: str
    python: str
    platform: str
    airflow: str


@dataclass(frozen=True)
class Saved:
    """A file that `save` wrote, open and read up to the image.

    Args:
        name: the file, for errors.
        header: what it says of the image in it.
        data: the image, compressed.
    """

    name: str
    header: Header
    data: IO[bytes]


def save(client: Client, header: Header, file: str) -> int:
    """Write an image of the engine's to a file, which is there when it is whole; return its bytes.

    Args:
        client: the way to the engine.
        header: what the file says of the image.
        file: the file; `-` for standard output. A pipe or a device is written to.

    Raises:
        UsageError: that is no place for a file.
        CommandError: the engine does not give the image.
        DiskError: the file cannot be written.
    """
    import zstandard  # noqa: PLC0415 - start-up time

    word = json.dumps({"schema": SCHEMA, **asdict(header)}).encode()
    command = (client.docker, "save", header.image)
    target = _output(file)
    process.echo(command, client.environment)
    try:
        with target as output, process.reading(command, environment=client.environment) as data:
            output.write(struct.pack("<II", _MAGIC, len(word)) + word)
            packer = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, threads=-1)
            _, size = packer.copy_stream(data, output)
            output.flush()
    except OSError as error:
        raise DiskError(f"{file}: cannot be written: {error.strerror}") from None
    return 8 + len(word) + size


def _output(file: str) -> contextlib.AbstractContextManager[IO[bytes]]:
    """Return what opens the file to write.

    Raises:
        UsageError: that is no place for a file.
    """
    if file == STREAM:
        if sys.stdout.isatty():
            raise UsageError("--file -: standard output is a terminal: send it to a file or a pipe")
        return contextlib.nullcontext(sys.stdout.buffer)
    path = Path(file)
    if not path.parent.is_dir() or path.is_dir():
        raise UsageError(f"--file: {file!r}: name a file in a folder that is there")
    return paths.replacing(path)


@contextlib.contextmanager
def opened(file: str) -> Iterator[Saved]:
    """Open a file that `save` wrote, once: it may be a pipe.

    Args:
        file: the file; `-` for standard input.

    Raises:
        UsageError: it cannot be read, or `save` did not write it.
    """
    if file == STREAM and sys.stdin.isatty():
        raise UsageError("-: standard input is a terminal: send a file to it")
    with contextlib.ExitStack() as stack:
        try:
            data: IO[bytes] = (
                sys.stdin.buffer
                if file == STREAM
                else stack.enter_context(Path(file).open("rb", _BUFFER))
            )
            header = _header(data, file)
        except OSError as error:
            raise UsageError(f"{file}: cannot be read: {error.strerror}") from None
        yield Saved(file, header, data)


def load(client: Client, saved: Saved) -> None:
    """Load an image from a file into the engine, and see that it is what the file says.

    Raises:
        UsageError: the file is none of ours, or is damaged.
        VerificationError: the image is not what the file says.
        CommandError: the engine does not take it.
    """
    import zstandard  # noqa: PLC0415 - start-up time

    command = (client.docker, "load", "--quiet")
    process.echo(command, client.environment)
    try:
        with process.writing(command, environment=client.environment) as engine:
            _unpack(saved.data, engine)
    except zstandard.ZstdError as error:
        raise UsageError(f"{saved.name}: is damaged: {error}") from None
    except OSError as error:
        raise UsageError(f"{saved.name}: cannot be read: {error.strerror}") from None
    _check(client, saved.header, saved.name)


def _unpack(data: IO[bytes], output: IO[bytes]) -> None:
    """Write what a frame holds, or raise ZstdError also where its end is missing.

    zstandard's readers bound their memory, too, but take a missing end for the end.
    """
    import zstandard  # noqa: PLC0415 - start-up time

    frame = zstandard.ZstdDecompressor().decompressobj()
    while not frame.eof:
        chunk = data.read(_CHUNK)
        if not chunk:
            raise zstandard.ZstdError("its end is missing")
        output.write(frame.decompress(chunk))


def _header(data: IO[bytes], file: str) -> Header:
    start = data.read(8)
    try:
        magic, size = struct.unpack("<II", start)
        if magic != _MAGIC or size > _LARGEST:
            raise ValueError
        said = json.loads(data.read(size))
        if said.pop("schema") != SCHEMA:
            raise UsageError(f"{file}: was written by another version of this suite")
        if not all(isinstance(value, str) for value in said.values()):
            raise ValueError
        return Header(**said)
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UsageError(f"{file}: is no file that image.save wrote") from None


def _check(client: Client, said: Header, file: str) -> None:
    image = target.find_local(client, said.image)
    if image is None:
        raise VerificationError(f"{file}: has no image {said.image}")
    found = (image.platform, image.python)
    if found != (said.platform, said.python):
        raise VerificationError(
            f"{file}: says {said.platform} and Python {said.python}, and its image "
            f"{found[0]} and Python {found[1]}"
        )
