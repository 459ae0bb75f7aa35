"""Run the checks on an image."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from build_tasks.errors import DiskError, UsageError, VerificationError
from build_tasks.verify.target import Target

CHECKS = Path(__file__).parent / "checks"


def report(name: str | None) -> Path | None:
    """Return the file for the results in JUnit's form, in a folder that is there.

    Raises:
        UsageError: it can be no file.
        DiskError: it cannot be written.
    """
    if not name:
        return None
    file = Path(name).absolute()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--junit: {name}: {error.strerror}") from None
    if file.is_dir():
        raise UsageError(f"--junit: {name}: is a folder")
    try:
        file.open("ab").close()  # pytest writes it last, and ends with a traceback if it cannot
    except OSError as error:
        raise DiskError(f"--junit: {name} cannot be written: {error.strerror}") from None
    return file


def verify(
    target: Target, *, junit: Path | None, quiet: bool, select: str = ""
) -> list[dict[str, Any]]:
    """Run the checks that fit the target, and return what came of each.

    Args:
        target: the image and what it has to hold.
        junit: the file that gets the results in JUnit's form.
        quiet: print nothing.
        select: run only checks whose names match, as pytest's `-k` has it.

    Raises:
        UsageError: no check is selected.
        VerificationError: the checks could not run.
        KeyboardInterrupt: the run was stopped.
    """
    import pytest  # noqa: PLC0415 - start-up time

    from build_tasks.verify.plugin import Plugin  # noqa: PLC0415 - it needs pytest

    plugin = Plugin(target)
    arguments = [str(CHECKS), "--rootdir", str(CHECKS), "--config-file", os.devnull]
    arguments += ["--import-mode=importlib", "--verbose", "--tb=short", "--no-header"]
    arguments += ["-p", "no:cacheprovider", "-p", "no:cov", "-p", "no:xdist", "-p", "no:timeout"]
    if junit:
        arguments += [f"--junit-xml={junit}", "-o", "junit_suite_name=verify"]
    if select:
        arguments += ["-k", select]
    target.folder.mkdir(parents=True, exist_ok=True)
    with _own_options(), contextlib.redirect_stdout(io.StringIO() if quiet else sys.stdout):
        ended = pytest.main(arguments, plugins=[plugin])
    if ended == pytest.ExitCode.INTERRUPTED:
        raise next(iter(plugin.stopped), KeyboardInterrupt())
    if select and ended in {pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED}:
        raise UsageError(f"--select: {select!r} selects no check")
    if ended not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        raise VerificationError(f"{target.image.reference}: no check ran ({ended!r})")
    return [asdict(result) for result in plugin.results]


@contextlib.contextmanager
def _own_options() -> Iterator[None]:
    """Keep the options of the user's own tests out of these."""
    theirs = os.environ.pop("PYTEST_ADDOPTS", None)
    try:
        yield
    finally:
        if theirs is not None:
            os.environ["PYTEST_ADDOPTS"] = theirs
