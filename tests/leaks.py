"""Where a secret may show up: in command lines, in files, and in layers of images."""

from __future__ import annotations

import base64
import gzip
import itertools
import tarfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import zstandard


class Arguments:
    """Reads the command lines of all processes, again and again, while a block runs."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._end.wait(0.02):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(file.read_bytes())
                except OSError:
                    continue


def needles(*canaries: str) -> list[bytes]:
    """Return secrets, as they are and in base64, wherever in an encoded text they begin."""
    texts = [canary.encode() for canary in canaries]
    encoded = (
        base64.b64encode(bytes(before) + text)[(0, 2, 3)[before] : -4]
        for text in texts
        for before in range(3)
    )
    return [*texts, *encoded]


def find(canaries: Iterable[str], texts: Iterable[bytes], start: float, *folders: Path) -> set[str]:
    """Return where secrets are: in some texts, or in files that changed since a time."""
    secrets = needles(*canaries)
    files = (item for folder in folders for item in written_since(start, folder))
    searched = itertools.chain((("a text", text) for text in texts), files)
    return {
        f"{secret!r} in {place}" for place, data in searched for secret in secrets if secret in data
    }


def written_since(start: float, folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield the files of a folder that changed since then, and their content."""
    for file in folder.rglob("*"):
        try:
            if file.is_file() and not file.is_symlink() and file.stat().st_mtime >= start:
                yield file, file.read_bytes()
        except OSError:
            continue


def layers(archive: Path) -> Iterator[bytes]:
    """Yield the content of each file of a saved image; that of layers unpacked."""
    with tarfile.open(archive) as image:
        for member in image.getmembers():
            file = image.extractfile(member)
            if file is None:
                continue
            data = file.read()
            yield data
            if data.startswith(b"\x28\xb5\x2f\xfd"):
                yield (
                    zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
                )
            elif data.startswith(b"\x1f\x8b"):
                yield gzip.decompress(data)
