"""Debian's packages, unpacked into a folder: nothing is installed on the machine.

apt works with lists and a cache of its own, from the mirror that the machine's apt uses and with
the machine's keys; `dpkg -x` unpacks.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from build_tasks import paths, process
from build_tasks.engine import apt, state
from build_tasks.engine.handle import plugin
from build_tasks.engine.processes import end_orphans, marker
from build_tasks.engine.state import Folders
from build_tasks.errors import EngineError, ImagesError

#: Newest first; the older one serves machines that the newer one's programs do not run on.
RELEASES = ("unstable", "trixie")
RELEASE_VARIABLE = "AIRFLOW_IMAGES_ENGINE_RELEASE"

#: Taken from the engine's release. Debian 12's own docker.io is 20.10, which is too old.
ENGINE = ("docker.io", "docker-cli", "docker-buildx")
#: Static, so that it runs in any container: from the newest release, whatever the engine's.
INIT = "tini-static"
#: Taken from the machine's release: newer ones need a newer libc.
MACHINE = (
    "containerd",
    "runc",
    "docker-registry",
    "iptables",
    "libip4tc2",
    "libip6tc2",
    "libxtables12",
    "libmnl0",
    "libnftnl11",
    "libnfnetlink0",
    "libnetfilter-conntrack3",
    "mmdebstrap",
)
EMULATION = ("qemu-user-static",)

#: What PATH (:), the options of overlay mounts (, and \\) and configuration files can hold.
_HOME = re.compile(r"[^:,\\\"'`$#\x00-\x1f\x7f\ud800-\udfff]+")
_FILTERS = ("iptables", "ip6tables")
_PROGRAMS = ("usr/bin", "usr/sbin", "bin", "sbin")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: What a daemon gets of the environment: the way out, whom to trust there, and the time zone.
HANDED_ON = {
    "ALL_PROXY",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TZ",
}


def release_wanted() -> tuple[str, ...]:
    """Return the releases to try, in order.

    Raises:
        EngineError: the environment names another one.
    """
    pinned = os.environ.get(RELEASE_VARIABLE)
    if not pinned:
        return RELEASES
    if pinned not in RELEASES:
        choices = ", ".join(RELEASES)
        raise EngineError(f"{RELEASE_VARIABLE}: unknown release {pinned!r}: choose {choices}")
    return (pinned,)


def supported() -> None:
    """Raise EngineError, with what to do instead, unless this machine can embed an engine."""
    home = str(state.folders().home)
    if not _HOME.fullmatch(home):
        raise EngineError(
            f"the embedded engine cannot live in {home!r}: PATH, overlay mounts or its own files "
            "cannot hold such a name: set AIRFLOW_IMAGES_CACHE to a folder with another one"
        )
    advice = "install Docker Engine 26 or newer with its buildx plugin, or set DOCKER_HOST"
    if os.geteuid() != 0:
        raise EngineError(f"the embedded engine needs root: become root, or {advice}")
    if not (shutil.which("apt-get") and shutil.which("dpkg") and apt.KEYRING.exists()):
        raise EngineError(f"the embedded engine needs Debian's apt and its keys: {advice}")
    if not shutil.which("ip"):
        raise EngineError("the embedded engine needs the program ip: install iproute2")


def unpack(
    where: Folders, release: str, announce: Callable[[str], None], *, emulation: bool = False
) -> Path:
    """Return the folder with the unpacked packages of a release; fetch what is not there yet.

    Args:
        where: the engine's folders.
        release: the Debian release that the engine is taken from.
        announce: is told what is fetched.
        emulation: with the programs that run another architecture's.

    Raises:
        NetworkError: the mirror cannot be reached.
        DiskError: there is no space.
        EngineError: the packages are not there, or do not run on this machine.
    """
    root = where.root(release)
    wanted = [f"{name}/{release}" for name in ENGINE]
    wanted += [f"{INIT}/{RELEASES[0]}"]
    wanted += [f"{name}/{codename()}" for name in MACHINE]
    if emulation:
        wanted += [f"{name}/{codename()}" for name in EMULATION]
    unpacked = root / "unpacked"
    present = unpacked.read_text(encoding="utf-8").split() if unpacked.exists() else []
    missing = [name for name in wanted if name not in present]
    if missing:
        announce(f"fetching {len(missing)} Debian packages ({release}, {codename()}) into {root}")
        _fetch(where, release, missing, announce)
        _complete(root)
        paths.write(unpacked, "\n".join([*present, *missing]))
    return root


def environment(root: Path) -> dict[str, str]:
    """Return the variables with which the unpacked programs find each other and their libraries."""
    triplet = f"{platform.machine()}-linux-gnu"
    libraries = [str(root / "usr/lib" / triplet), str(root / "lib" / triplet)]
    programs = [str(root / part) for part in _PROGRAMS]
    return {
        "PATH": os.pathsep.join([*programs, os.environ.get("PATH", os.defpath)]),
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
        "XTABLES_LIBDIR": str(root / "usr/lib" / triplet / "xtables"),
    }


def daemon_environment(where: Folders, root: Path) -> dict[str, str]:
    """Return all variables of a program that outlives this process.

    Nothing else of this process's environment is handed on: a CI job has tokens there.

    Args:
        where: the engine's folders.
        root: the folder with the unpacked packages.
    """
    kept = {name: text for name, text in os.environ.items() if name.upper() in HANDED_ON}
    found = environment(root)
    path = os.pathsep.join([*(str(root / part) for part in _PROGRAMS), _SYSTEM_PATH])
    return {**kept, **found, "PATH": path, "HOME": str(where.home), **marker(where.home)}


def unpacked(where: Folders) -> Path:
    """Return the folder with the packages of some release, whichever is there."""
    roots = (where.root(release) for release in RELEASES)
    return next((root for root in roots if root.exists()), where.root(RELEASES[0]))


def runs(root: Path) -> bool:
    """Return whether the unpacked engine runs on this machine's libc."""
    try:
        process.run((str(root / "usr/sbin/dockerd"), "--version"), environment=environment(root))
        process.run((str(plugin(root)), "version"), environment=environment(root))
    except ImagesError:
        return False
    return True


def architecture() -> str:
    """Return Debian's name of the machine's architecture, like `amd64`."""
    return process.run(("dpkg", "--print-architecture")).stdout.strip()


def codename() -> str:
    """Return the name of the machine's own release, like `bookworm`.

    Raises:
        EngineError: the machine does not say, or is no Debian.
    """
    try:
        said = platform.freedesktop_os_release()
    except OSError:
        said = {}
    if said.get("ID") != "debian" or not said.get("VERSION_CODENAME"):
        name = said.get("PRETTY_NAME", "this system")
        raise EngineError(
            f"the embedded engine is made of Debian's packages, and this is {name}: "
            "install Docker Engine 26 or newer with its buildx plugin"
        )
    return said["VERSION_CODENAME"]


def mirror() -> str:
    """Return the address of the mirror that the machine's own apt takes its release from.

    Raises:
        EngineError: apt has no such source.
    """
    return apt.mirror(codename())


def _fetch(
    where: Folders, release: str, names: Sequence[str], announce: Callable[[str], None]
) -> None:
    folder = where.home / "packages/apt"
    end_orphans(folder.parent)  # an apt whose starter was killed has its lock still
    suites = dict.fromkeys((codename(), release, RELEASES[0]))
    root = where.root(release)
    root.mkdir(parents=True, exist_ok=True)
    apt.update(folder, mirror(), [*suites], announce)
    for package in apt.download(folder, names):
        unpacked = apt.run(("dpkg", "-x", str(package), str(root)), folder)
        apt.check(unpacked, package.name)
    shutil.rmtree(folder / "archives")


def _complete(root: Path) -> None:
    """Make the links that the packages' own scripts would make."""
    programs = root / "usr/sbin"
    for name in _FILTERS:
        for suffix in ("", "-save", "-restore"):
            _link(programs / f"{name}{suffix}", f"{name}-nft{suffix}")
    _link(root / "usr/bin/docker-init", "tini-static")


def _link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)
