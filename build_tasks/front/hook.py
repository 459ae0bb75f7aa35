"""The pre-commit hook: check the images of any repository with an images.toml.

A commit passes whatever the result, unless `--fail` is given or ^C ends it. Nothing is built.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from build_tasks.front import startup

startup.end_on_interrupt()

from build_tasks import console
from build_tasks.commands.output import reported
from build_tasks.errors import ImagesError, Interrupted
from build_tasks.front import command_line
from build_tasks.front.verbs import VERBS
from build_tasks.text.hints import HOOK

CHECK = VERBS["image.check"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the images of the current repository and return the exit code.

    Args:
        arguments: those of the command line by default.
    """
    words = sys.argv[1:] if arguments is None else arguments
    try:
        with reported():
            CHECK.run(command_line.parse(CHECK, command_line.take_file(words), "", HOOK))
    except ImagesError as error:
        console.message(f"{HOOK}: {error}")
        return error.exit_code if "--fail" in words else 0
    except Interrupted as error:  # ends the commit, too
        console.message(f"{HOOK}: {error}")
        return error.exit_code
    return 0
