"""The versions that images install."""

from __future__ import annotations

from build_tasks.commands.output import say
from build_tasks.config.options import Options
from build_tasks.constraints import baseline, constraint_files, extras
from build_tasks.model import matrix


def generate_constraints(options: Options) -> None:
    """Resolve the versions that the images of some Pythons install, and write them down."""
    chosen = options.settings()
    asked = options.items("python") or chosen.pythons
    for text in asked:
        python = matrix.parse_python(text, "--python", chosen.pythons)
        extras.follow(python, chosen, announce=say)
        extras.check(chosen, python)
        constraint_files.generate(python, chosen, upgrade=options.flag("upgrade"), announce=say)
        baseline.follow(python, announce=say)
