"""Resolve the versions that images install."""

from __future__ import annotations

from build_tasks.config.options import Options
from build_tasks.console import message
from build_tasks.constraints import baseline, constraint_files, extras, indexes
from build_tasks.constraints.resolver import Uv
from build_tasks.model import matrix


def generate_constraints(options: Options) -> None:
    """Resolve the constraint files of the selected Pythons, by default all."""
    settings = options.settings()
    environment = indexes.find(settings).environment()
    prerelease = ("--prerelease", settings.uv_prerelease)
    uv = Uv(environment, (*indexes.options(settings), *prerelease))
    for text in options.items("python") or settings.pythons:
        python = matrix.parse_python(text, "--python", settings.pythons)
        extras.refresh(python, settings, uv, announce=message)
        extras.check(settings, python)
        constraint_files.generate(
            python, settings, uv, upgrade=options.flag("upgrade"), announce=message
        )
        baseline.refresh(python, settings, uv, announce=message)
