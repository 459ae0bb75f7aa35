"""apt with a configuration, lists and a cache of its own.

The machine's configuration is not read: it may switch off the check of signatures, or of validity
dates, for all that it fetches. Only what leads to a mirror is taken from it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from build_tasks import process
from build_tasks.engine.processes import marker
from build_tasks.errors import CommandError, DiskError, EngineError, NetworkError
from build_tasks.process import Command, Completed

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
#: Seconds for apt to fetch lists or packages (140 MB) over a slow line.
_FETCH = 1800.0
#: What leads to a mirror: proxies, also for one host, and certificates.
_WAYS = re.compile(
    r"Acquire::(?:https?::(?:[\w.-]+::)?"
    r"(?:Proxy(?:-?Auto-?Detect)?(?:::[\w.-]+)?|CAInfo|CAPath|SslCert|SslKey|Timeout)"
    r'|ForceIPv[46]) "[^"]*";',
    re.IGNORECASE,
)
#: apt's word on an index that is past its validity date.
_EXPIRED = re.compile(r"/dists/([^/\s]+)/\S* is expired \(invalid since ([^)]*)\)")


def mirror(suite: str) -> str:
    """Return the address of the mirror that the machine's own apt takes its release from.

    Args:
        suite: the machine's release.

    Raises:
        EngineError: apt has no such source.
    """
    asked = process.run(("apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)"))
    for line in asked.stdout.splitlines():
        release, _, address = line.partition(" ")
        if release == suite:
            return address
    raise EngineError(f"apt has no source for {suite}: add one to /etc/apt/sources.list.d")


def update(
    folder: Path, address: str, suites: Sequence[str], announce: Callable[[str], None]
) -> None:
    """Fetch the lists of packages; signatures are checked, and dates where the mirror is current.

    Args:
        folder: the folder for apt's lists and cache.
        address: the mirror's address.
        suites: the releases.
        announce: is told of a suite whose index is past its validity date.

    Raises:
        NetworkError: the mirror cannot be reached.
        DiskError: there is no space.
        CommandError: a signature is not good.
    """
    for path in (folder / "lists/partial", folder / "archives/partial", folder / "etc"):
        path.mkdir(parents=True, exist_ok=True)
    (folder / "apt.conf").write_text(_configuration(folder), encoding="utf-8")
    command = ("apt-get", "update", "--error-on=any")
    _write(folder, address, suites, ())
    updated = run(command, folder)
    late = dict(_EXPIRED.findall(updated.stderr))
    if updated.returncode and late:
        for suite, since in late.items():
            announce(
                f"warning: the mirror's index of {suite} is out of date (since {since}); "
                "its signature is checked"
            )
        _write(folder, address, suites, late)
        updated = run(command, folder)
    check(updated, "the package lists")


def download(folder: Path, names: Sequence[str]) -> list[Path]:
    """Fetch packages of the updated lists, and return their files.

    Args:
        folder: the folder for apt's lists and cache.
        names: packages, each as `name/suite`.

    Raises:
        NetworkError: the mirror cannot be reached.
        DiskError: there is no space.
        CommandError: there is no such package.
    """
    archives = folder / "archives"
    shutil.rmtree(archives)
    (archives / "partial").mkdir(parents=True)
    check(
        run(("env", f"--chdir={archives}", "apt-get", "download", *names), folder), "the packages"
    )
    return sorted(archives.glob("*.deb"))


def run(command: Command, folder: Path) -> Completed:
    """Run a command of apt or dpkg with the configuration in a folder."""
    variables = {
        "APT_CONFIG": str(folder / "apt.conf"),
        "LC_ALL": "C",
        **marker(folder.parent),
    }
    return process.run(command, environment=variables, timeout=_FETCH, check=False)


def check(ended: Completed, subject: str) -> None:
    """Raise the error that fits a command of apt or dpkg, if it failed."""
    if not ended.returncode:
        return
    lines = [line for line in ended.stderr.splitlines() if line.startswith(("E:", "dpkg"))]
    reason = lines[0] if lines else ended.stderr.strip().rpartition("\n")[2]
    if "No space left" in ended.stderr or "enough free space" in ended.stderr:
        raise DiskError(f"no space for {subject}: {reason}")
    if "is not signed" in ended.stderr or "NO_PUBKEY" in ended.stderr or "GPG" in ended.stderr:
        raise CommandError(f"cannot trust {subject}: {reason}")
    if any(word in ended.stderr for word in ("resolv", "onnect", "imed out", "Failed to fetch")):
        raise NetworkError(f"cannot fetch {subject}: {reason}")
    raise CommandError(f"cannot fetch {subject}: {reason}")


def _write(folder: Path, address: str, suites: Iterable[str], late: Collection[str]) -> None:
    """Write the list of sources; the dates of late suites are not checked."""
    lines = []
    for suite in suites:
        date = "check-valid-until=no " if suite in late else ""
        lines.append(f"deb [{date}signed-by={KEYRING}] {address} {suite} main\n")
    (folder / "etc/sources.list").write_text("".join(lines), encoding="utf-8")


def _configuration(folder: Path) -> str:
    """Return a configuration that apt reads before all others, and which keeps it from them."""
    settings = {
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::parts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::Etc::sourcelist": folder / "etc/sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State": folder,
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder,
        "APT::Sandbox::User": "root",  # the sandbox's own user may not enter a home folder
        "Acquire::Retries": 7,
        "Acquire::Languages": "none",
    }
    lines = [f'{key} "{value}";' for key, value in settings.items()]
    machine = process.run(("apt-config", "dump")).stdout.splitlines()
    return "\n".join([*lines, *(line for line in machine if _WAYS.fullmatch(line)), ""])
