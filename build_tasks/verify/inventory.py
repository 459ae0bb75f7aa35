"""The files of an image, read once from its export."""

from __future__ import annotations

import struct
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from build_tasks.model.matrix import Platform

#: `e_machine` of the ELF header (System V ABI).
MACHINES = {Platform.AMD64: 62, Platform.ARM64: 183}
_HEADER = struct.Struct("18xH")
#: The largest size of a private key in bytes.
_SMALL = 64 * 1024


@dataclass(frozen=True)
class File:
    """A file or folder of the image."""

    path: str  # without the leading slash
    folder: bool
    mode: int
    uid: int
    gid: int
    machine: int | None  # the processor of a program or library (`e_machine`)
    key: bool  # whether it is a private key


def read(exported: Path) -> list[File]:
    """Return the files in the export of an image, a tar file."""
    with tarfile.open(exported, mode="r|") as tar:
        return [_file(tar, member) for member in tar]


def _file(tar: tarfile.TarFile, member: tarfile.TarInfo) -> File:
    content = tar.extractfile(member) if member.isfile() and member.size else None
    machine, key = _examine(content, member.size) if content else (None, False)
    path = member.name.removeprefix("./").rstrip("/")
    return File(path, member.isdir(), member.mode, member.uid, member.gid, machine, key)


def _examine(content: IO[bytes], size: int) -> tuple[int | None, bool]:
    """Return the processor of a program, and whether a file is a private key."""
    start = content.read(_HEADER.size)
    if start.startswith(b"\x7fELF") and len(start) == _HEADER.size:
        order = "<" if start[5] == 1 else ">"
        (machine,) = struct.unpack(f"{order}18xH", start)
        return machine, False
    is_pem = size <= _SMALL and start.startswith(b"-----BEGIN ")
    return None, is_pem and b"PRIVATE KEY-----" in start + content.read()
