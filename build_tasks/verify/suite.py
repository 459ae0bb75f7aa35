"""Run the checks on an image with pytest."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from build_tasks.errors import DiskError, UsageError, VerificationError
from build_tasks.process import Announce
from build_tasks.verify import fixtures
from build_tasks.verify.plugin import Plugin
from build_tasks.verify.target import Target

CHECKS = Path(__file__).parent / "checks"


def junit_file(name: str | None) -> Path | None:
    """Return the file for JUnit results, and create it and its folder.

    pytest writes it at the end, and would fail with a traceback if it cannot.

    Raises:
        UsageError: it is a folder, or is in no folder.
        DiskError: it cannot be written.
    """
    if not name:
        return None
    file = Path(name).absolute()
    if file.is_dir():
        raise UsageError(f"--junit: {name}: is a folder")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.open("ab").close()
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"--junit: {name}: {error.strerror}") from None
    except OSError as error:
        raise DiskError(f"--junit: {name} cannot be written: {error.strerror}") from None
    return file


def verify(
    target: Target,
    *,
    announce: Announce,
    junit: Path | None = None,
    quiet: bool = False,
    select: str = "",
) -> list[dict[str, Any]]:
    """Run the checks for an image, and return their results.

    Args:
        target: the image and what it has to contain.
        announce: is told the progress.
        junit: the file for JUnit results.
        quiet: hide pytest's output.
        select: an expression as for pytest's `-k`; only checks that match are run.

    Raises:
        UsageError: no check is selected, or a file of checks cannot be used.
        VerificationError: the checks could not run.
        KeyboardInterrupt: the run was interrupted.
    """
    plugin = Plugin(target, announce)
    arguments = [str(CHECKS), *map(str, target.checks)]
    arguments += ["--rootdir", str(CHECKS), "--config-file", os.devnull]
    # Else the conftest.py of folders above is loaded, and their names count for `-k`.
    arguments += ["--confcutdir", str(CHECKS), "--noconftest"]
    arguments += ["--import-mode=importlib", "--verbose", "--tb=short", "--no-header"]
    arguments += ["-p", "no:cacheprovider", "-p", "no:cov", "-p", "no:xdist", "-p", "no:timeout"]
    if junit:
        arguments += [f"--junit-xml={junit}", "-o", "junit_suite_name=verify"]
    if select:
        arguments += ["-k", select]
    target.folder.mkdir(parents=True, exist_ok=True)
    users_options = os.environ.pop("PYTEST_ADDOPTS", None)
    # A folder __pycache__ beside a project's checks may be in a build context.
    writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        with contextlib.redirect_stdout(io.StringIO() if quiet else sys.stdout):
            status = pytest.main(arguments, plugins=[plugin, fixtures])
    finally:
        sys.dont_write_bytecode = writes_bytecode
        if users_options is not None:
            os.environ["PYTEST_ADDOPTS"] = users_options
    if plugin.broken:
        file, reason = next(iter(plugin.broken.items()))
        raise UsageError(f"{file}: {reason}")
    if status == pytest.ExitCode.INTERRUPTED:
        raise next(iter(plugin.interrupts), KeyboardInterrupt())
    if select and status in {pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED}:
        raise UsageError(f"--select: {select!r} selects no check")
    if status not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        raise VerificationError(f"{target.image.reference}: no check ran ({status!r})")
    return [result._asdict() for result in plugin.results]
