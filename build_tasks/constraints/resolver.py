"""Resolve versions with uv, and get the sizes of wheels and the extras of Airflow."""

from __future__ import annotations

import re
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from email.parser import HeaderParser
from pathlib import Path

from build_tasks import process
from build_tasks.errors import DependencyError, NetworkError
from build_tasks.model.matrix import Platform

#: uv's names of the platforms of the images.
UV_PLATFORMS = {
    Platform.AMD64: "x86_64-manylinux_2_28",
    Platform.ARM64: "aarch64-manylinux_2_28",
}
#: Seconds for uv to resolve; 1 to 14 were measured.
_RESOLVE_TIMEOUT = 600.0
#: Seconds for uv to install one small wheel.
_INSTALL_TIMEOUT = 300.0


def compile_into(
    output: Path, python: str, platform: Platform, requirements: str, pins: Path, *options: str
) -> None:
    """Resolve requirements, one a line, into a file, under the constraints in `pins`.

    Versions in the present file are kept where they fit. No interpreter of that Python is needed.

    Raises:
        DependencyError: no versions fit together.
        NetworkError: the package index is unreachable.
    """
    command = (
        *(_uv(), "pip", "compile", "-", "--quiet", "--no-header", "--no-annotate"),
        *("--python", sys.executable, "--python-version", python),
        *("--python-platform", UV_PLATFORMS[platform]),
        *("--constraints", str(pins), "--output-file", str(output)),
        *options,
    )
    completed = process.run(command, input=requirements, timeout=_RESOLVE_TIMEOUT, check=False)
    if completed.returncode:
        reason = _one_line(completed.stderr)
        error = DependencyError if "No solution found" in reason else NetworkError
        raise error(f"constraints-{python}: {reason}")


def _uv() -> str:
    from uv import find_uv_bin  # noqa: PLC0415 - the hook's environment has no uv

    return find_uv_bin()


def _one_line(stderr: str) -> str:
    """Return uv's message on one line, without drawn lines."""
    return " ".join(re.sub(r"[^\x00-\x7f]", "", stderr).split())


def wheel_sizes(python: str, platform: Platform, pins: str) -> Mapping[str, int]:
    """Return the bytes of the largest wheel of each pinned package, or of its sdist.

    Raises:
        NetworkError: the package index is unreachable.
    """
    with tempfile.TemporaryDirectory() as folder:
        limits, lock = Path(folder) / "limits.txt", Path(folder) / "pylock.toml"
        limits.touch()
        # The format of PEP 751 has sizes; pins leave nothing to resolve.
        options = ("--no-deps", "--format", "pylock.toml")
        compile_into(lock, python, platform, pins, limits, *options)
        packages = tomllib.loads(lock.read_text(encoding="utf-8"))["packages"]
    return {
        package["name"]: max(file["size"] for file in package.get("wheels") or [package["sdist"]])
        for package in packages
    }


def extras(python: str, airflow: str) -> list[str]:
    """Return the names of the extras of a release of Airflow, as its wheel has them.

    Raises:
        NetworkError: the package index is unreachable, or has no such release.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = (
            *(_uv(), "pip", "install", "--quiet", "--no-deps", "--target", folder),
            *("--python", sys.executable, "--python-version", python, f"apache-airflow=={airflow}"),
        )
        completed = process.run(command, timeout=_INSTALL_TIMEOUT, check=False)
        metadata = Path(folder) / f"apache_airflow-{airflow}.dist-info" / "METADATA"
        if completed.returncode or not metadata.exists():
            reason = _one_line(completed.stderr)
            raise NetworkError(f"the extras of Airflow {airflow}: {reason}")
        headers = HeaderParser().parsestr(metadata.read_text(encoding="utf-8"))
    return sorted(headers.get_all("Provides-Extra") or [])
