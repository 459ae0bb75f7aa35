"""Run another architecture's programs: qemu, told to the kernel through binfmt_misc."""

from __future__ import annotations

import contextlib
import platform
import re
from collections.abc import Callable
from pathlib import Path

from build_tasks.engine import machine
from build_tasks.errors import EngineError

_BINFMT = machine.BINFMT
#: Debian's architectures by the names that qemu and the kernel have for them.
QEMU = {"amd64": "x86_64", "arm64": "aarch64"}
#: How the name of an embedded engine's entry ends.
_OURS = re.compile(r"-afi-[0-9a-f]{8}$")


def native(architecture: str) -> bool:
    """Return whether this machine runs an architecture by itself."""
    return platform.machine() == QEMU[architecture]


def enabled(architecture: str) -> bool:
    """Return whether the kernel runs an architecture through an emulator, whoever told it to."""
    return bool(_entries(architecture))


def lasts(architecture: str, owner: str) -> bool:
    """Return whether the kernel emulates an architecture for as long as this engine wants it.

    What the machine's own packages told the kernel lasts. What another embedded engine told it
    goes when that one stops, so that each engine tells it for itself.
    """
    mine = _name(architecture, owner)
    return any(name == mine or not _OURS.search(name) for name in _entries(architecture))


def enable(root: Path, architecture: str, owner: str, announce: Callable[[str], None]) -> bool:
    """Tell the kernel to run an architecture through qemu; return whether that was to be done.

    Args:
        root: the folder with the unpacked packages.
        architecture: Debian's name of it.
        owner: the engine's short name.
        announce: is told what is done.

    Raises:
        EngineError: the kernel cannot, or qemu's package is not as expected.
    """
    machine.mount_binfmt()
    if lasts(architecture, owner):
        return False
    announce(f"emulating {architecture} with qemu, about ten times slower than a native machine")
    rule = _rule(root, f"qemu-{QEMU[architecture]}", _name(architecture, owner))
    try:
        (_BINFMT / "register").write_bytes(rule)
    except OSError as error:
        raise EngineError(f"the kernel refuses to emulate {architecture}: {error}") from None
    return True


def disable(architecture: str, owner: str) -> bool:
    """Tell the kernel to forget what `enable` told it for this engine; return whether it did."""
    entry = _BINFMT / _name(architecture, owner)
    if not entry.exists():
        return False
    entry.write_text("-1", encoding="ascii")
    return True


def _name(architecture: str, owner: str) -> str:
    return f"qemu-{QEMU[architecture]}-afi-{owner}"


def _entries(architecture: str) -> list[str]:
    """Return the names of the kernel's emulators of an architecture that are not switched off."""
    found = []
    for path in _BINFMT.glob(f"*{QEMU[architecture]}*"):
        with contextlib.suppress(FileNotFoundError):  # another engine has just stopped
            if not path.read_text(encoding="ascii").startswith("disabled"):
                found.append(path.name)
    return found


def _rule(root: Path, name: str, mine: str) -> bytes:
    """Return the kernel's line for an emulator, from its package, with our copy's name and path.

    The line is `:name:type:offset:magic:mask:interpreter:flags`. Its flag F opens the emulator
    once, now, so that containers need no copy of it (admin-guide/binfmt-misc of the kernel).
    """
    conf = root / "usr/lib/binfmt.d" / f"{name}.conf"
    if not conf.exists():
        raise EngineError(f"Debian's package of qemu has no {name}")
    _, _, *rule, interpreter, flags = conf.read_text(encoding="ascii").strip().split(":")
    flags = flags if "F" in flags else f"{flags}F"
    return ":".join(["", mine, *rule, f"{root}{interpreter}", flags]).encode("ascii")
