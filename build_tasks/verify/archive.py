"""Images as files: the output of `docker save`, compressed with zstd.

An image is described by its own labels and configuration. The archive lists those at its end. So
`load` forwards the archive to the engine while it reads it, and holds back the last part until it
knows that the archive is complete and has the expected image: without it, the engine loads nothing.

`zstandard` is a dependency because Python itself has zstd only from 3.14, and a machine may lack
the program `zstd`.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import zstandard

from build_tasks import paths, process
from build_tasks.buildx import docker
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import CommandError, DiskError, UsageError, VerificationError
from build_tasks.model.matrix import Build, Platform
from build_tasks.verify import target
from build_tasks.verify.target import Image

#: In place of a file: standard output or standard input.
STREAM = "-"
#: The default level of zstd. Layers are compressed already: a higher level gains little.
_LEVEL = 3
_MAGIC = b"\x28\xb5\x2f\xfd"
#: The end of the magic number of a skippable frame (RFC 8878, 3.1.2); its first byte varies.
_SKIPPABLE = b"\x2a\x4d\x18"
#: Bytes that are decompressed at once. Four bytes can become a block of 128 KiB (RFC 8878,
#: 3.1.1.2), so these become at most 32 MiB.
_CHUNK = 1024
#: Bytes that are read at once.
BUFFER = 1024 * 1024
#: Bytes of the largest JSON file of an archive, and their number; an image has two to sixty.
_LARGEST = 1024 * 1024
_MOST = 200


def save(client: Client, reference: str, file: str) -> int:
    """Write an image of the engine to a file, and return the size in bytes.

    A regular file is replaced once it is complete. A pipe, a device or `-`, the standard output, is
    written to.

    Raises:
        UsageError: the file cannot be created there.
        CommandError: the engine cannot save the image.
        DiskError: the file cannot be written.
    """
    command = docker.save_command(client, reference)
    output_file = _output(file)
    process.echo(command, client.environment)
    try:
        with (
            output_file as output,
            process.reading(command, environment=client.environment) as data,
        ):
            compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, threads=-1)
            _, size = compressor.copy_stream(data, output)
            output.flush()
    except OSError as error:
        raise DiskError(f"{file}: cannot be written: {error.strerror}") from None
    return size


def _output(file: str) -> contextlib.AbstractContextManager[IO[bytes]]:
    if file == STREAM:
        if sys.stdout.isatty():
            raise UsageError("--file -: standard output is a terminal: send it to a file or a pipe")
        return contextlib.nullcontext(sys.stdout.buffer)
    path = Path(file)
    if not path.parent.is_dir() or path.is_dir():
        raise UsageError(f"--file: expected a file in an existing folder, got {file!r}")
    return paths.replacing(path)


@contextlib.contextmanager
def opened(file: str) -> Iterator[Iterator[bytes]]:
    """Open a file of `save`, a pipe or `-`, the standard input; yield the chunks of the archive.

    Raises:
        UsageError: it cannot be read, or is not compressed with zstd.
    """
    if file == STREAM and sys.stdin.isatty():
        raise UsageError("-: standard input is a terminal: send a file to it")
    with contextlib.ExitStack() as stack:
        try:
            data: IO[bytes] = (
                sys.stdin.buffer
                if file == STREAM
                else stack.enter_context(Path(file).open("rb", BUFFER))
            )
            content = chunks(data, file)
        except OSError as error:
            raise UsageError(f"{file}: cannot be read: {error.strerror}") from None
        yield content


def chunks(data: IO[bytes], name: str) -> Iterator[bytes]:
    """Return the chunks of an archive that `save` wrote, as they are read from a stream.

    Raises:
        UsageError: it is not compressed with zstd.
    """
    start = data.read(4)
    if start != _MAGIC and start[1:] != _SKIPPABLE:
        raise _foreign(name)
    return _decompressed(start, data, name)


def load(
    client: Client, file: str, chunks: Iterator[bytes], accept: Callable[[Image, Build], None]
) -> tuple[Image, Build]:
    """Load an image from a file into the engine.

    Args:
        client: the engine.
        file: the file, for errors.
        chunks: what `opened` yields.
        accept: is told the image before the engine gets it; may raise to refuse it.

    Raises:
        UsageError: the file is not of `save`, or is damaged.
        VerificationError: the engine does not have the image afterwards.
        CommandError: the engine refuses the file.
    """
    command = docker.load_command(client)
    process.echo(command, client.environment)
    described: list[tuple[Image, Build]] = []
    with process.writing(command, environment=client.environment) as engine:
        archive = _ForwardedArchive(chunks, engine)
        described.append(_describe(archive, file))
        accept(*described[0])
        archive.forward_end()
    if not described:  # `writing` ignores that the engine stops reading
        raise CommandError(f"{file}: docker load ended before it read the image")
    saved, build = described[0]
    loaded = target.find_local(client, saved.reference)
    if loaded is None:
        raise VerificationError(f"{file}: the engine does not have {saved.reference} after loading")
    if (loaded.platform, loaded.python) != (saved.platform, saved.python):
        raise VerificationError(
            f"{file}: has {saved.platform} and Python {saved.python}, but "
            f"{saved.reference} is now {loaded.platform} and Python {loaded.python}"
        )
    return saved, build


class _ForwardedArchive(io.RawIOBase):
    """An archive that is forwarded while it is read, except for the part that was read last.

    A reader of tar archives stops at a block of zeros. That block is in the part read last, so it
    is not forwarded before `forward_end`.
    """

    def __init__(self, chunks: Iterator[bytes], output: IO[bytes]) -> None:
        self._chunks = filter(None, chunks)
        self._output = output
        self._held = memoryview(b"")
        self._rest = memoryview(b"")

    def read(self, size: int = -1, /) -> bytes:
        self._output.write(self._held)
        rest = self._rest or memoryview(next(self._chunks, b""))
        self._held, self._rest = rest[:size], rest[size:]
        return bytes(self._held)

    def forward_end(self) -> None:
        """Decompress the rest, which checks its checksum, and forward the end of the archive."""
        for _ in self._chunks:
            pass  # padding
        self._output.write(self._held)
        self._output.write(self._rest)


def _decompressed(start: bytes, data: IO[bytes], file: str) -> Iterator[bytes]:
    """Yield what the frames in a file hold.

    The readers of zstandard also bound their memory, but ignore that the end of a file is missing.
    """
    decompressor = zstandard.ZstdDecompressor()
    frame, chunk = None, start
    try:
        while chunk:
            frame = frame or decompressor.decompressobj()
            yield frame.decompress(chunk)
            chunk = frame.unused_data or data.read(_CHUNK)
            if frame.eof:
                frame = None
    except zstandard.ZstdError as error:
        raise UsageError(f"{file}: is damaged: {error}") from None
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from None
    if frame:
        raise UsageError(f"{file}: is damaged: its end is missing")


def _describe(archive: _ForwardedArchive, file: str) -> tuple[Image, Build]:
    """Read a whole archive, and return the image that its JSON files describe."""
    documents: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=archive, mode="r|", bufsize=BUFFER) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.size <= _LARGEST else None
                if content and len(documents) < _MOST:
                    documents[member.name.removeprefix("./")] = content.read()
        (entry,) = json.loads(documents["manifest.json"])
        config = json.loads(documents[entry["Config"]])
        facts = {name: config[name.lower()] for name in ("Os", "Architecture", "Config")}
        (reference,) = entry["RepoTags"]
        image = Image(reference, facts)
    except (tarfile.TarError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _foreign(file) from None
    try:
        return image, target.identify(image, Platform.parse(image.platform, file))
    except UsageError:  # no labels of Airflow, or another platform
        raise _foreign(file) from None


def _foreign(file: str) -> UsageError:
    return UsageError(f"{file}: is not a file that image.save wrote")
