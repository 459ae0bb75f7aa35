"""Emulate another architecture: qemu, registered with the kernel through binfmt_misc.

Each engine registers an emulator of its own, so that none depends on another one's stop. What the
machine's own packages registered is used, and left alone.
"""

from __future__ import annotations

import contextlib
import platform
import re
from pathlib import Path

from build_tasks import process
from build_tasks.engine.folders import RUN, machine_lock
from build_tasks.errors import EngineError
from build_tasks.process import Announce

#: The kernel's names of Debian's architectures.
KERNEL_NAMES = {"amd64": "x86_64", "arm64": "aarch64"}
_BINFMT = Path("/proc/sys/fs/binfmt_misc")
#: Exists if an engine mounted the kernel's table of emulators.
_MOUNT_NOTE = RUN / "airflow-images.binfmt_misc"
_EMBEDDED_ENGINE = re.compile(r"-afi-[0-9a-f]{8}$")


def native(architecture: str) -> bool:
    """Return whether this machine runs an architecture without an emulator."""
    return platform.machine() == KERNEL_NAMES[architecture]


def emulated() -> tuple[str, ...]:
    """Return the architectures that the kernel emulates now, whoever registered them."""
    return tuple(name for name in KERNEL_NAMES if _entries(name))


def lasts(architecture: str, engine_id: str) -> bool:
    """Return whether an architecture is emulated until this engine stops.

    What another embedded engine registered goes when that one stops.
    """
    own = _entry(architecture, engine_id)
    return any(name == own or not _EMBEDDED_ENGINE.search(name) for name in _entries(architecture))


def enable(packages: Path, architecture: str, engine_id: str, announce: Announce) -> None:
    """Register an emulator, if none is registered that lasts."""
    with machine_lock():
        if not (_BINFMT / "register").exists():
            _MOUNT_NOTE.touch()
            command = ("mount", "-t", "binfmt_misc", "binfmt_misc", str(_BINFMT))
            completed = process.run(command, check=False)
            if completed.returncode:
                raise EngineError(f"the kernel has no binfmt_misc: {completed.stderr.strip()}")
    if lasts(architecture, engine_id):
        return
    announce(f"emulating {architecture} with qemu, about ten times slower than a native machine")
    try:
        (_BINFMT / "register").write_bytes(_registration(packages, architecture, engine_id))
    except OSError as error:
        raise EngineError(f"the kernel refuses to emulate {architecture}: {error}") from None


def disable(engine_id: str) -> list[str]:
    """Remove the engine's emulators, and return their architectures."""
    removed = []
    for architecture in KERNEL_NAMES:
        entry = _BINFMT / _entry(architecture, engine_id)
        if entry.exists():
            entry.write_text("-1", encoding="ascii")
            removed.append(architecture)
    with machine_lock():
        entries = {path.name for path in _BINFMT.glob("*")} - {"register", "status"}
        if _MOUNT_NOTE.exists() and not entries:
            process.run(("umount", str(_BINFMT)), check=False)
            _MOUNT_NOTE.unlink()
    return removed


def _entry(architecture: str, engine_id: str) -> str:
    return f"qemu-{KERNEL_NAMES[architecture]}-afi-{engine_id}"


def _entries(architecture: str) -> list[str]:
    """Return the names of the kernel's enabled emulators of an architecture."""
    names = []
    for path in _BINFMT.glob(f"*{KERNEL_NAMES[architecture]}*"):
        with contextlib.suppress(FileNotFoundError):  # another engine has just stopped
            if not path.read_text(encoding="ascii").startswith("disabled"):
                names.append(path.name)
    return names


def _registration(packages: Path, architecture: str, engine_id: str) -> bytes:
    """Return the kernel's line for an emulator: that of qemu's package, with our name and path.

    The line is `:name:type:offset:magic:mask:interpreter:flags`. Its flag F opens the emulator
    once, now, so that containers need no copy of it (admin-guide/binfmt-misc of the kernel).
    """
    name = f"qemu-{KERNEL_NAMES[architecture]}"
    file = packages / "usr/lib/binfmt.d" / f"{name}.conf"
    if not file.exists():
        raise EngineError(f"Debian's package of qemu has no {name}")
    _, _, *rule, interpreter, flags = file.read_text(encoding="ascii").strip().split(":")
    flags = flags if "F" in flags else f"{flags}F"
    own = _entry(architecture, engine_id)
    return ":".join(["", own, *rule, f"{packages}{interpreter}", flags]).encode("ascii")
