"""The resolver: uv, asked which versions fit together and what they weigh."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from build_tasks import process
from build_tasks.errors import DependencyError, NetworkError
from build_tasks.model.matrix import Platform
from build_tasks.process import Command

#: What uv calls the platforms of the images. All of them get the same versions.
UV_PLATFORMS = {
    Platform.AMD64: "x86_64-manylinux_2_28",
    Platform.ARM64: "aarch64-manylinux_2_28",
}
#: Seconds for uv to resolve; 1 to 14 were seen.
_RESOLVE = 600.0


def compile_command(uv: str, python: str, platform: Platform, pins: Path, output: Path) -> Command:
    """Return the command that resolves the requirements on its standard input.

    Args:
        uv: the program.
        python: the version of Python to resolve for; no such interpreter is needed.
        platform: the platform to resolve for.
        pins: versions to keep where they fit.
        output: the file to write.
    """
    return (
        *(uv, "pip", "compile", "-", "--quiet", "--no-header", "--no-annotate"),
        *("--python", sys.executable, "--python-version", python),
        *("--python-platform", UV_PLATFORMS[platform]),
        *("--constraints", str(pins), "--output-file", str(output)),
    )


def compile_into(
    output: Path, python: str, platform: Platform, wanted: str, pins: Path, *options: str
) -> None:
    """Resolve requirements into a file.

    Args:
        output: the file to write; versions that it has and that fit are kept.
        python: the version of Python.
        platform: the platform.
        wanted: the requirements, one a line.
        pins: a file of versions to keep to.
        options: further options of `uv pip compile`.

    Raises:
        DependencyError: no versions fit together.
        NetworkError: the package index cannot be reached.
    """
    from uv import find_uv_bin  # noqa: PLC0415 - start-up time

    command = (*compile_command(find_uv_bin(), python, platform, pins, output), *options)
    ended = process.run(command, input=wanted, timeout=_RESOLVE, check=False)
    if ended.returncode:
        reason = " ".join(re.sub(r"[^\x00-\x7f]", "", ended.stderr).split())  # no drawn lines
        if "No solution found" in reason:
            raise DependencyError(f"constraints-{python}: {reason}")
        raise NetworkError(f"constraints-{python}: {reason}")


def wheel_sizes(python: str, platform: Platform, wanted: str) -> Mapping[str, int]:
    """Return the bytes of the largest wheel that each of some pins has for a platform, by name.

    Of what has no wheel, those of its sources.

    Args:
        python: the version of Python.
        platform: the platform.
        wanted: the pins, one a line.

    Raises:
        NetworkError: the package index cannot be reached.
    """
    import tempfile  # noqa: PLC0415 - start-up time
    import tomllib  # noqa: PLC0415 - start-up time

    with tempfile.TemporaryDirectory() as folder:
        limits, lock = Path(folder) / "limits.txt", Path(folder) / "pylock.toml"
        limits.touch()
        # PEP 751's format has sizes; and pins leave nothing to resolve.
        options = ("--no-deps", "--format", "pylock.toml")
        compile_into(lock, python, platform, wanted, limits, *options)
        packages = tomllib.loads(lock.read_text(encoding="utf-8"))["packages"]
    return {
        one["name"]: max(file["size"] for file in one.get("wheels") or [one["sdist"]])
        for one in packages
    }
