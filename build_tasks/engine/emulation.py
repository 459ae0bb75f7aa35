"""Run another architecture's programs: qemu, told to the kernel through binfmt_misc."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path

from build_tasks import process
from build_tasks.errors import EngineError

_BINFMT = Path("/proc/sys/fs/binfmt_misc")
#: Debian's architectures by the names that qemu and the kernel have for them.
QEMU = {"amd64": "x86_64", "arm64": "aarch64"}


def native(architecture: str) -> bool:
    """Return whether this machine runs an architecture by itself."""
    return platform.machine() == QEMU[architecture]


def enabled(architecture: str) -> bool:
    """Return whether the kernel runs an architecture through an emulator, whoever told it to."""
    return any(_BINFMT.glob(f"*{QEMU[architecture]}"))


def enable(root: Path, architecture: str, announce: Callable[[str], None]) -> bool:
    """Tell the kernel to run an architecture through qemu; return whether that was to be done.

    Args:
        root: the folder with the unpacked packages.
        architecture: Debian's name of it.
        announce: is told what is done.

    Raises:
        EngineError: the kernel cannot, or qemu's package is not as expected.
    """
    if not _mounted():
        mount = ("mount", "-t", "binfmt_misc", "binfmt_misc", str(_BINFMT))
        ended = process.run(mount, check=False)
        if ended.returncode:
            raise EngineError(f"the kernel has no binfmt_misc: {ended.stderr.strip()}")
    if enabled(architecture):
        return False
    announce(f"emulating {architecture} with qemu, about ten times slower than a native machine")
    name = f"qemu-{QEMU[architecture]}"
    rule = _rule(root, name)
    try:
        (_BINFMT / "register").write_bytes(rule)
    except OSError as error:
        raise EngineError(f"the kernel refuses to emulate {architecture}: {error}") from None
    return True


def disable(architecture: str) -> None:
    """Tell the kernel to forget an emulation that `enable` registered."""
    entry = _BINFMT / f"qemu-{QEMU[architecture]}"
    if entry.exists():
        entry.write_text("-1", encoding="ascii")


def _mounted() -> bool:
    return (_BINFMT / "register").exists()


def _rule(root: Path, name: str) -> bytes:
    """Return the kernel's line for an emulator, from its package, with our copy's path.

    The line is `:name:type:offset:magic:mask:interpreter:flags`. Its flag F opens the emulator
    once, now, so that containers need no copy of it (admin-guide/binfmt-misc of the kernel).
    """
    conf = root / "usr/lib/binfmt.d" / f"{name}.conf"
    if not conf.exists():
        raise EngineError(f"Debian's package of qemu has no {name}")
    *rule, interpreter, flags = conf.read_text(encoding="ascii").strip().split(":")
    flags = flags if "F" in flags else f"{flags}F"
    return ":".join([*rule, f"{root}{interpreter}", flags]).encode("ascii")
