"""All files of an image, read once from its export."""

from __future__ import annotations

import struct
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from build_tasks.model.matrix import Platform

#: `e_machine` of the ELF header (System V ABI; its registry of machines).
MACHINES = {Platform.AMD64: 62, Platform.ARM64: 183}
#: Bytes up to which a file may be a key.
_SMALL = 64 * 1024
_KEY = b"PRIVATE KEY-----"


@dataclass(frozen=True)
class File:
    """A file or folder of the image.

    Args:
        path: its place, without the leading slash.
        folder: whether it is a folder.
        mode: its permissions.
        uid: its owner.
        gid: its group.
        size: its bytes.
        machine: what processor it is for, if it is a program or library (`e_machine`).
        key: it holds a private key.
    """

    path: str
    folder: bool
    mode: int
    uid: int
    gid: int
    size: int
    machine: int | None
    key: bool


def read(exported: Path) -> list[File]:
    """Return the files of an image's export, a tar file."""
    with tarfile.open(exported, mode="r|") as tar:
        return list(_files(tar))


def machines(files: list[File]) -> Counter[int]:
    """Return how many programs and libraries there are for each processor."""
    return Counter(file.machine for file in files if file.machine is not None)


def _files(tar: tarfile.TarFile) -> Iterator[File]:
    for member in tar:
        content = tar.extractfile(member) if member.isfile() and member.size else None
        machine, key = _look(content, member.size) if content else (None, False)
        yield File(
            path=member.name.removeprefix("./").rstrip("/"),
            folder=member.isdir(),
            mode=member.mode,
            uid=member.uid,
            gid=member.gid,
            size=member.size,
            machine=machine,
            key=key,
        )


def _look(content: IO[bytes], size: int) -> tuple[int | None, bool]:
    head = content.read(20)
    if head.startswith(b"\x7fELF") and len(head) == 20:  # noqa: PLR2004 - the header's first part
        order = "<" if head[5] == 1 else ">"
        (machine,) = struct.unpack_from(f"{order}H", head, 18)
        return machine, False
    return None, size <= _SMALL and head.startswith(
        b"-----BEGIN "
    ) and _KEY in head + content.read()
