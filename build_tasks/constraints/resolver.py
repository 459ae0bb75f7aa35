"""Resolve versions with uv, and get the sizes of wheels and the extras of Airflow."""

from __future__ import annotations

import re
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

from packaging.version import Version

from build_tasks import process
from build_tasks.errors import AuthError, DependencyError, DiskError, ImagesError, NetworkError
from build_tasks.model.matrix import Platform
from build_tasks.process import Completed, Environment

#: uv's names of the platforms of the images.
UV_PLATFORMS = {
    Platform.AMD64: "x86_64-manylinux_2_28",
    Platform.ARM64: "aarch64-manylinux_2_28",
}
#: Seconds for uv to resolve; 1 to 14 were measured.
_RESOLVE_TIMEOUT = 600.0
#: Seconds for uv to install one small wheel.
_INSTALL_TIMEOUT = 300.0
#: Bytes of a package whose size the index does not tell, like many private ones.
_TYPICAL = 1_000_000
#: A folder of this machine that uv cannot use: no permission, no space, read-only, no quota.
_UNUSABLE = re.compile(r"\(os error (?:13|28|30|122)\)")
#: uv found no versions, or cannot make metadata, for another reason than the network.
_UNSOLVED = re.compile(r"(?:No solution found|Failed to build)(?!.*Failed to fetch)")
#: uv's sentences on a package that it may take from a folder alone, up to its hint.
_ABSENT = re.compile(
    r"Because (?:(?! hint: ).)*?(?P<name>\S+) was not found in the cache\b(?:(?! hint: ).)*"
)


@dataclass(frozen=True)
class Uv:
    """uv on this machine.

    Args:
        environment: variables of uv, like those of the package indexes.
        options: options of all resolutions.
    """

    environment: Environment
    options: tuple[str, ...] = ()

    def compile_into(
        self,
        output: Path,
        python: str,
        platform: Platform,
        requirements: str,
        pins: Path,
        *options: str,
    ) -> None:
        """Resolve requirements, one a line, into a file, under the constraints in `pins`.

        Versions in the present file are kept where they fit. No interpreter of that Python is
        needed.

        Raises:
            DependencyError: no versions fit together.
            AuthError: the package index refuses the credentials, or requires some.
            NetworkError: the package index is unreachable.
            DiskError: uv cannot use its cache folder.
        """
        command = (
            *(_uv(), "pip", "compile", "-", "--quiet", "--no-header", "--no-annotate"),
            *("--python", sys.executable, "--python-version", python),
            *("--python-platform", UV_PLATFORMS[platform]),
            *("--constraints", str(pins), "--output-file", str(output)),
            *(*self.options, *options),
        )
        completed = process.run(
            command,
            environment=self.environment,
            input=requirements,
            timeout=_RESOLVE_TIMEOUT,
            check=False,
        )
        if completed.returncode:
            raise _error(f"constraints-{python}", completed)

    def wheel_sizes(self, python: str, platform: Platform, pins: str) -> Mapping[str, int]:
        """Return the bytes of the largest wheel of each pinned package, or of its sdist.

        Raises:
            AuthError: the package index refuses the credentials, or requires some.
            NetworkError: the package index is unreachable.
            DiskError: uv cannot use its cache folder.
        """
        with tempfile.TemporaryDirectory() as folder:
            limits, lock = Path(folder) / "limits.txt", Path(folder) / "pylock.toml"
            limits.touch()
            # The format of PEP 751 has sizes; pins leave nothing to resolve.
            options = ("--no-deps", "--format", "pylock.toml")
            self.compile_into(lock, python, platform, pins, limits, *options)
            packages = tomllib.loads(lock.read_text(encoding="utf-8"))["packages"]
        return {
            package["name"]: max(
                file.get("size", _TYPICAL) for file in package.get("wheels") or [package["sdist"]]
            )
            for package in packages
        }

    def available(self, python: str, pins: Mapping[str, str]) -> dict[str, str]:
        """Return those of some pins whose versions the package index has.

        uv names one package that the index lacks, so it is asked for halves until it has all.

        Raises:
            AuthError: the package index refuses the credentials, or requires some.
            NetworkError: the package index is unreachable.
            DiskError: uv cannot use its cache folder.
        """
        if not pins:
            return {}
        lines = "".join(f"{name}<={version}\n" for name, version in pins.items())
        with tempfile.TemporaryDirectory() as folder:
            limits, output = Path(folder) / "limits.txt", Path(folder) / "output.txt"
            limits.touch()
            try:
                self.compile_into(output, python, Platform.AMD64, lines, limits, "--no-deps")
            except DependencyError:
                names = [*pins]
                middle = len(names) // 2
                halves = (names[:middle], names[middle:]) if middle else ()
                return {
                    name: version
                    for half in halves
                    for name, version in self.available(
                        python, {name: pins[name] for name in half}
                    ).items()
                }
            newest = dict(line.split("==") for line in output.read_text().splitlines())
        return {
            name: version
            for name, version in pins.items()
            if Version(newest[name]) == Version(version)
        }

    def extras(self, python: str, airflow: str) -> list[str]:
        """Return the names of the extras of a release of Airflow, as its wheel has them.

        Raises:
            AuthError: the package index refuses the credentials, or requires some.
            DependencyError: the package index has no such release.
            NetworkError: the package index is unreachable.
            DiskError: uv cannot use its cache folder.
        """
        with tempfile.TemporaryDirectory() as folder:
            command = (
                *(_uv(), "pip", "install", "--quiet", "--no-deps", "--target", folder),
                *("--python", sys.executable, "--python-version", python),
                f"apache-airflow=={airflow}",
            )
            completed = process.run(
                command, environment=self.environment, timeout=_INSTALL_TIMEOUT, check=False
            )
            metadata = Path(folder) / f"apache_airflow-{airflow}.dist-info" / "METADATA"
            if completed.returncode or not metadata.exists():
                raise _error(f"the extras of Airflow {airflow}", completed)
            return provided_extras(metadata.read_text(encoding="utf-8"))


def _uv() -> str:
    from uv import find_uv_bin  # noqa: PLC0415 - the hook's environment has no uv

    return find_uv_bin()


def absence(message: str) -> str:
    """Return what the folder of packages lacks without a network, and who requires it.

    Args:
        message: the error of uv.

    Returns:
        one line; empty if the message says something else.
    """
    found = _ABSENT.search(one_line(message))
    if not found:
        return ""
    return (
        f"the folder of packages (index.find-links) lacks {found['name']}, and no index is used "
        f"(index.offline): {found[0]}"
    )


def one_line(stderr: str) -> str:
    """Return uv's message on one line, without drawn lines."""
    return " ".join(re.sub(r"[^\x00-\x7f]", "", stderr).split())


def _error(subject: str, completed: Completed) -> ImagesError:
    """Return the error for a command of uv that failed."""
    reason = one_line(completed.stderr)
    kind: type[ImagesError] = NetworkError
    if re.search("401 Unauthorized|403 Forbidden", reason):
        kind = AuthError
    elif _UNUSABLE.search(reason):
        kind = DiskError
    elif _UNSOLVED.search(reason):
        kind = DependencyError
        reason = absence(reason) or reason
    return kind(f"{subject}: {reason}")


def provided_extras(metadata: str) -> list[str]:
    """Return the names of the extras in the metadata of a distribution."""
    return sorted(HeaderParser().parsestr(metadata).get_all("Provides-Extra") or [])
