"""Fetch Debian packages with the machine's apt, but with a configuration, lists and cache apart.

The machine's configuration is not used: it may switch off the check of signatures, or of validity
dates, for everything that it fetches. Only what leads to a mirror is taken from it.
"""

from __future__ import annotations

import platform
import re
import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from string import Template

from build_tasks import process
from build_tasks.engine.processes import MARKER
from build_tasks.errors import CommandError, DiskError, EngineError, NetworkError
from build_tasks.process import Announce, Command, Completed

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
#: Seconds for apt to fetch lists or packages (140 MB) over a slow line.
_FETCH = 1800.0
_CONFIGURATION = Path(__file__).with_name("configuration") / "apt.conf"
#: The machine's settings that lead to a mirror: proxies, also for one host, and certificates.
_MIRROR_SETTINGS = re.compile(
    r"Acquire::(?:https?::(?:[\w.-]+::)?"
    r"(?:Proxy(?:-?Auto-?Detect)?(?:::[\w.-]+)?|CAInfo|CAPath|SslCert|SslKey|Timeout)"
    r'|ForceIPv[46]) "[^"]*";',
    re.IGNORECASE,
)
#: apt's message about an index that is past its validity date.
_EXPIRED = re.compile(r"/dists/([^/\s]+)/\S* is expired \(invalid since ([^)]*)\)")


def codename() -> str:
    """Return the name of the machine's own release, like `bookworm`."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    if release.get("ID") != "debian" or not release.get("VERSION_CODENAME"):
        name = release.get("PRETTY_NAME", "this system")
        raise EngineError(
            f"the embedded engine is made of Debian's packages, and this is {name}: "
            "install Docker Engine 26 or newer with its buildx plugin"
        )
    return release["VERSION_CODENAME"]


def architecture() -> str:
    """Return Debian's name of the machine's architecture, like `amd64`."""
    return process.run(("dpkg", "--print-architecture")).stdout.strip()


def mirror() -> str:
    """Return the address of the mirror that the machine's own apt takes its release from."""
    release = codename()
    command = ("apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)")
    for line in process.run(command).stdout.splitlines():
        name, _, address = line.partition(" ")
        if name == release:
            return address
    raise EngineError(f"apt has no source for {release}: add one to /etc/apt/sources.list.d")


def update(folder: Path, address: str, suites: Sequence[str], announce: Announce) -> None:
    """Fetch a mirror's package lists of some releases into a folder, and check their signatures.

    An index that is past its validity date is used with a warning.
    """
    for path in (folder / "lists/partial", folder / "archives/partial", folder / "etc"):
        path.mkdir(parents=True, exist_ok=True)
    (folder / "apt.conf").write_text(_configuration(folder), encoding="utf-8")
    updated = _update(folder, address, suites, ())
    expired = dict(_EXPIRED.findall(updated.stderr))
    if updated.returncode and expired:
        for suite, since in expired.items():
            announce(
                f"warning: the mirror's index of {suite} is out of date (since {since}); "
                "its signature is checked"
            )
        updated = _update(folder, address, suites, expired)
    check(updated, "the package lists")


def download(folder: Path, names: Sequence[str]) -> list[Path]:
    """Fetch packages, each named `name/suite`, and return their files."""
    archives = folder / "archives"
    shutil.rmtree(archives)
    (archives / "partial").mkdir(parents=True)
    command = ("env", f"--chdir={archives}", "apt-get", "download", *names)
    check(run(command, folder), "the packages")
    return sorted(archives.glob("*.deb"))


def run(command: Command, folder: Path) -> Completed:
    """Run a command of apt or dpkg with the configuration of `update`."""
    variables = {"APT_CONFIG": str(folder / "apt.conf"), "LC_ALL": "C", MARKER: str(folder.parent)}
    return process.run(command, environment=variables, timeout=_FETCH, check=False)


def check(completed: Completed, subject: str) -> None:
    """Raise the error that fits a failed command of apt or dpkg."""
    if not completed.returncode:
        return
    stderr = completed.stderr
    lines = [line for line in stderr.splitlines() if line.startswith(("E:", "dpkg"))]
    reason = lines[0] if lines else stderr.strip().rpartition("\n")[2]
    if "No space left" in stderr or "enough free space" in stderr:
        raise DiskError(f"no space for {subject}: {reason}")
    if any(word in stderr for word in ("is not signed", "NO_PUBKEY", "GPG")):
        raise CommandError(f"cannot trust {subject}: {reason}")
    if any(word in stderr for word in ("resolv", "onnect", "imed out", "Failed to fetch")):
        raise NetworkError(f"cannot fetch {subject}: {reason}")
    raise CommandError(f"cannot fetch {subject}: {reason}")


def _update(
    folder: Path, address: str, suites: Iterable[str], expired: Collection[str]
) -> Completed:
    """Fetch the package lists; the validity dates of expired suites are not checked."""
    lines = []
    for suite in suites:
        date = "check-valid-until=no " if suite in expired else ""
        lines.append(f"deb [{date}signed-by={KEYRING}] {address} {suite} main\n")
    (folder / "etc/sources.list").write_text("".join(lines), encoding="utf-8")
    return run(("apt-get", "update", "--error-on=any"), folder)


def _configuration(folder: Path) -> str:
    own = Template(_CONFIGURATION.read_text(encoding="utf-8")).substitute(folder=folder)
    machine = process.run(("apt-config", "dump")).stdout.splitlines()
    return "\n".join([own, *filter(_MIRROR_SETTINGS.fullmatch, machine), ""])
