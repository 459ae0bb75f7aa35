from __future__ import annotations

import io
import struct
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build_tasks.model.matrix import Platform
from build_tasks.verify import inventory
from build_tasks.verify.inventory import MACHINES, File

KEY = b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"


def elf(machine: int, *, big: bool = False) -> bytes:
    """Return the beginning of an ELF file (System V ABI, figure 4-3)."""
    order = ">" if big else "<"
    ident = b"\x7fELF" + bytes([2, 2 if big else 1, 1]) + bytes(9)
    return ident + struct.pack(f"{order}HH", 3, machine) + bytes(44)


def read(folder: Path, *members: tuple[tarfile.TarInfo, bytes]) -> dict[str, File]:
    file = folder / "image.tar"
    with tarfile.open(file, "w") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return {one.path: one for one in inventory.read(file)}


def member(name: str, **facts: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in facts.items():
        setattr(info, key, value)
    return info


def test_programs_tell_their_processor(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        (member("usr/bin/a"), elf(62)),
        (member("./usr/lib/b.so"), elf(183)),
        (member("usr/lib/s390.so"), elf(22, big=True)),
        (member("usr/bin/script"), b"#!/bin/sh\n"),
        (member("short"), b"\x7fELF\x02\x01"),
        (member("empty"), b""),
    )
    assert {path: one.machine for path, one in found.items()} == {
        "usr/bin/a": 62,
        "usr/lib/b.so": 183,
        "usr/lib/s390.so": 22,
        "usr/bin/script": None,
        "short": None,
        "empty": None,
    }


def test_links_and_folders_are_no_programs(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        (member("bin/", type=tarfile.DIRTYPE, mode=0o775, uid=50000), b""),
        (member("bin/python", type=tarfile.SYMTYPE, linkname="python3"), b""),
        (member("bin/hard", type=tarfile.LNKTYPE, linkname="bin/real"), b""),
    )
    assert [(one.path, one.folder, one.machine) for one in found.values()] == [
        ("bin", True, None),
        ("bin/python", False, None),
        ("bin/hard", False, None),
    ]
    assert (found["bin"].mode, found["bin"].uid, found["bin"].gid) == (0o775, 50000, 0)


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (KEY, True),
        (b"-----BEGIN RSA PRIVATE KEY-----\nx", True),
        (b"-----BEGIN CERTIFICATE-----\nx", False),
        (b"documentation of -----BEGIN PRIVATE KEY-----", False),
        (KEY + bytes(64 * 1024), False),
    ],
)
def test_private_keys_are_known_by_their_first_line(
    tmp_path: Path, content: bytes, key: bool
) -> None:
    assert read(tmp_path, (member("id"), content))["id"].key is key


@given(machine=st.integers(0, 0xFFFF), big=st.booleans())
def test_any_processor_is_read_in_its_own_byte_order(
    tmp_path_factory: pytest.TempPathFactory, machine: int, big: bool
) -> None:
    folder = tmp_path_factory.mktemp("image")
    assert read(folder, (member("x"), elf(machine, big=big)))["x"].machine == machine


def test_every_platform_has_its_processor() -> None:
    assert set(MACHINES) == set(Platform)
