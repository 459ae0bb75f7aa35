"""Unpack the engine's Debian packages, and make the environment that their programs run in.

`configuration/packages.toml` lists them. Nothing is installed on the machine: `dpkg -x` unpacks the
packages into the cache folder.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from pathlib import Path

from build_tasks import paths, process
from build_tasks.engine import apt
from build_tasks.engine.folders import Folders, buildx_plugin, engine_folders
from build_tasks.engine.processes import MARKER, end_orphans
from build_tasks.errors import EngineError, ImagesError
from build_tasks.process import Announce

#: Newest first; the older one serves machines that the newer one's programs do not run on.
RELEASES = ("unstable", "trixie")
RELEASE_VARIABLE = "AIRFLOW_IMAGES_ENGINE_RELEASE"
_PACKAGES = Path(__file__).with_name("configuration") / "packages.toml"
#: What PATH (:), the options of overlay mounts (, and \\) and configuration files can hold.
_HOME = re.compile(r"[^:,\\\"'`$#\x00-\x1f\x7f\ud800-\udfff]+")
_PROGRAMS = ("usr/bin", "usr/sbin", "bin", "sbin")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: The variables that daemons inherit: proxies, certificates, and the time zone.
INHERITED = re.compile("(ALL|HTTP|HTTPS|NO)_PROXY|SSL_CERT_(DIR|FILE)|TZ", re.IGNORECASE)


def check_supported() -> None:
    """Raise EngineError, with what to do instead, unless this machine can embed an engine."""
    home = str(engine_folders().home)
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


def prepare(folders: Folders, announce: Announce) -> tuple[str, Path]:
    """Unpack the newest release that runs on this machine; return its name and folder."""
    pinned = os.environ.get(RELEASE_VARIABLE)
    if pinned and pinned not in RELEASES:
        choices = ", ".join(RELEASES)
        raise EngineError(f"{RELEASE_VARIABLE}: unknown release {pinned!r}: choose {choices}")
    for release in (pinned,) if pinned else RELEASES:
        root = unpack(folders, release, announce)
        if runs(root):
            return release, root
        announce(f"the engine of Debian {release} does not run on this machine")
    raise EngineError(
        "no engine of Debian runs on this machine: install Docker Engine 26 or newer with buildx"
    )


def unpack(folders: Folders, release: str, announce: Announce, *, emulation: bool = False) -> Path:
    """Return the folder of a release's packages; fetch those that are missing, qemu if asked."""
    root = folders.packages(release)
    own = apt.codename()
    names = paths.read_data(_PACKAGES)
    suites = {"engine": release, "newest": RELEASES[0], "machine": own}
    if emulation:
        suites["emulation"] = own
    wanted = [f"{name}/{suite}" for group, suite in suites.items() for name in names[group]]
    record = root / "unpacked"
    present = record.read_text(encoding="utf-8").split() if record.exists() else []
    missing = [name for name in wanted if name not in present]
    if not missing:
        return root
    announce(f"fetching {len(missing)} Debian packages ({release}, {own}) into {root}")
    root.mkdir(parents=True, exist_ok=True)
    folder = folders.home / "packages/apt"
    end_orphans(folder.parent)  # an apt whose parent was killed still holds its lock
    apt.update(folder, apt.mirror(), sorted({*suites.values()}), announce)
    for package in apt.download(folder, missing):
        apt.check(apt.run(("dpkg", "-x", str(package), str(root)), folder), package.name)
    shutil.rmtree(folder / "archives")
    _link_programs(root)
    paths.write(record, "\n".join([*present, *missing]))
    return root


def environment(root: Path, path: str = "") -> dict[str, str]:
    """Return the variables with which the unpacked programs find each other and their libraries.

    Args:
        root: the folder with the packages.
        path: what PATH has after them; by default this process's own.
    """
    triplet = f"{platform.machine()}-linux-gnu"
    libraries = [str(root / "usr/lib" / triplet), str(root / "lib" / triplet)]
    programs = [str(root / name) for name in _PROGRAMS]
    return {
        "PATH": os.pathsep.join([*programs, path or os.environ.get("PATH", os.defpath)]),
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
        "XTABLES_LIBDIR": str(root / "usr/lib" / triplet / "xtables"),
    }


def daemon_environment(folders: Folders, root: Path) -> dict[str, str]:
    """Return all variables of a daemon.

    Nothing else of this process's environment is handed on: a CI job has tokens there.
    """
    inherited = {name: text for name, text in os.environ.items() if INHERITED.fullmatch(name)}
    own = {"HOME": str(folders.home), MARKER: str(folders.home)}
    return {**inherited, **environment(root, _SYSTEM_PATH), **own}


def any_unpacked(folders: Folders) -> Path:
    """Return the folder with the packages of some release, whichever is there."""
    roots = [folders.packages(release) for release in RELEASES]
    return next((root for root in roots if root.exists()), roots[0])


def runs(root: Path) -> bool:
    """Return whether the unpacked engine runs on this machine's libc."""
    try:
        process.run((str(root / "usr/sbin/dockerd"), "--version"), environment=environment(root))
        process.run((str(buildx_plugin(root)), "version"), environment=environment(root))
    except ImagesError:
        return False
    return True


def _link_programs(root: Path) -> None:
    """Create the links that the packages' own scripts would create."""
    paths.link(root / "usr/bin/docker-init", Path("tini-static"))
    for name in ("iptables", "ip6tables"):
        for suffix in ("", "-save", "-restore"):
            paths.link(root / f"usr/sbin/{name}{suffix}", Path(f"{name}-nft{suffix}"))
