"""Images as files: what `docker save` writes, compressed with zstd, with a word on what it is.

The word stands in a skippable frame before the data, so that zstd itself reads the file as if it
were not there (RFC 8878, 3.1.2).
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from build_tasks import process
from build_tasks.client import Client
from build_tasks.errors import DiskError, UsageError, VerificationError
from build_tasks.verify import target

SCHEMA = 1
_MAGIC = 0x184D2A50
_LARGEST = 64 * 1024
_CHUNK = 1024 * 1024
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


def save(client: Client, header: Header, file: Path) -> int:
    """Write an image of the engine's to a file, which is there when it is whole; return its bytes.

    Raises:
        UsageError: that is no place for a file.
        CommandError: the engine does not give the image.
        DiskError: the file cannot be written.
    """
    import zstandard  # noqa: PLC0415 - start-up time

    word = json.dumps({"schema": SCHEMA, **asdict(header)}).encode()
    if not file.parent.is_dir() or file.is_dir():
        raise UsageError(f"--file: {str(file)!r}: name a file in a folder that is there")
    fresh = file.with_name(f"{file.name}.new")
    command = (client.docker, "save", header.image)
    process.echo(command, client.environment)
    try:
        with (
            fresh.open("wb") as output,
            process.reading(command, environment=client.environment) as data,
        ):
            output.write(struct.pack("<II", _MAGIC, len(word)) + word)
            packer = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, threads=-1)
            packer.copy_stream(data, output)
        fresh.replace(file)
    except OSError as error:
        raise DiskError(f"{file}: cannot be written: {error.strerror}") from None
    finally:
        fresh.unlink(missing_ok=True)
    return file.stat().st_size


def header(file: Path) -> Header:
    """Return what a file says of the image in it.

    Raises:
        UsageError: it cannot be read, or `save` did not write it.
    """
    try:
        with file.open("rb") as data:
            return _header(data, file)
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from None


def load(client: Client, file: Path) -> Header:
    """Load an image from a file into the engine, and see that it is what the file says.

    Raises:
        UsageError: the file is none of ours, or is damaged.
        VerificationError: the image is not what the file says.
        CommandError: the engine does not take it.
    """
    import zstandard  # noqa: PLC0415 - start-up time

    command = (client.docker, "load", "--quiet")
    process.echo(command, client.environment)
    with file.open("rb") as data:
        said = _header(data, file)
        try:
            with process.writing(command, environment=client.environment) as engine:
                _unpack(data, engine)
        except zstandard.ZstdError as error:
            raise UsageError(f"{file}: is damaged: {error}") from None
    _check(client, said, file)
    return said


def _unpack(data: IO[bytes], output: IO[bytes]) -> None:
    """Write what a frame holds, or raise ZstdError also where its end is missing."""
    import zstandard  # noqa: PLC0415 - start-up time

    frame = zstandard.ZstdDecompressor().decompressobj()
    while not frame.eof:
        chunk = data.read(_CHUNK)
        if not chunk:
            raise zstandard.ZstdError("its end is missing")
        output.write(frame.decompress(chunk))


def _header(data: IO[bytes], file: Path) -> Header:
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


def _check(client: Client, said: Header, file: Path) -> None:
    image = target.find_local(client, said.image)
    if image is None:
        raise VerificationError(f"{file}: has no image {said.image}")
    found = (image.platform, image.python)
    if found != (said.platform, said.python):
        raise VerificationError(
            f"{file}: says {said.platform} and Python {said.python}, and its image "
            f"{found[0]} and Python {found[1]}"
        )
