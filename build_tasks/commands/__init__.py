"""What each session and task does: read the options, call the rooms, say what came of it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from build_tasks.config.options import Options

Verb = Callable[[Options], None]


def verb(name: str) -> Verb:
    """Return the function that does the work of a task; the others' modules are not read.

    Args:
        name: like `build.build`.
    """
    module, _, function = name.partition(".")
    found: Verb = getattr(import_module(f"{__name__}.{module}"), function)
    return found
