"""The hook for pre-commit: say which images are out of date, in any repository with an images.toml.

It advises: a commit passes whatever is found, unless `--fail` is given. It never builds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from build_tasks.front import startup

startup.end_on_interrupt()

from build_tasks import console, process
from build_tasks.commands.check import check_image
from build_tasks.commands.output import reported
from build_tasks.config import options
from build_tasks.config.settings import FILE_VARIABLE
from build_tasks.errors import ImagesError

PROGRAM = "airflow-images-check"
FILE = "images.toml"


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the images of the current repository and return the exit code.

    Args:
        arguments: those of the command line by default.
    """
    words = sys.argv[1:] if arguments is None else arguments
    fails = "--fail" in words
    try:
        with process.interruptible(), reported():
            _check(words)
    except ImagesError as error:
        console.message(f"{PROGRAM}: {error}")
        return error.exit_code if fails else 0
    return 0


def _check(words: Sequence[str]) -> None:
    given = options.parse(PROGRAM, options.HOOK, words)
    if Path(FILE).is_file():
        os.environ.setdefault(FILE_VARIABLE, str(Path(FILE).absolute()))
    check_image(given)
