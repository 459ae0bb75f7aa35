"""What all engines of a machine share: the forwarding of packets, and the kernel's emulators.

Each engine may come and go at any time, or be killed. What the machine was set to before the first
came is noted before it is changed; the last one that goes sets it back.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from build_tasks import process
from build_tasks.errors import EngineError

BINFMT = Path("/proc/sys/fs/binfmt_misc")
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_NETWORKS = Path("/sys/class/net")
#: Emptied by a reboot, which also sets back what is noted here.
_RUN = Path("/run")
_FORWARD_NOTE = "airflow-images.ip_forward"
_BINFMT_NOTE = "airflow-images.binfmt_misc"


def forward_packets() -> None:
    """Let the kernel forward packets, which the containers of a bridge need."""
    with _alone():
        if _FORWARD.read_text(encoding="utf-8").strip() == "1":
            return
        (_RUN / _FORWARD_NOTE).touch()
        _FORWARD.write_text("1", encoding="utf-8")


def mount_binfmt() -> None:
    """Mount the kernel's table of emulators, if it is not.

    Raises:
        EngineError: the kernel has none.
    """
    with _alone():
        if (BINFMT / "register").exists():
            return
        (_RUN / _BINFMT_NOTE).touch()
        command = ("mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT))
        ended = process.run(command, check=False)
        if ended.returncode:
            raise EngineError(f"the kernel has no binfmt_misc: {ended.stderr.strip()}")


def restore() -> None:
    """Set back what was changed for engines, unless something still needs it."""
    with _alone():
        bridges = [path.parent.name for path in _NETWORKS.glob("*/bridge")]
        note = _RUN / _FORWARD_NOTE
        if note.exists() and not any(name.startswith(("afi-", "afb-")) for name in bridges):
            if not bridges:
                _FORWARD.write_text("0", encoding="utf-8")
            note.unlink()
        note = _RUN / _BINFMT_NOTE
        if note.exists() and not {path.name for path in BINFMT.glob("*")} - {"register", "status"}:
            process.run(("umount", str(BINFMT)), check=False)
            note.unlink()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Hold a lock that leaves no file behind."""
    descriptor = os.open(_RUN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
