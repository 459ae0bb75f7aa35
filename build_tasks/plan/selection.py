"""Which images a person asks for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from build_tasks.config.fields import FIELDS
from build_tasks.config.options import Options
from build_tasks.config.settings import ROOT, Settings
from build_tasks.constraints import constraint_files, extras
from build_tasks.errors import UsageError
from build_tasks.model import matrix
from build_tasks.model.matrix import ImageKind
from build_tasks.text import formatting

T = TypeVar("T")


def select(options: Options, settings: Settings) -> list[tuple[ImageKind, str]]:
    """Return the images and Pythons that the options ask for, their constraints checked.

    Raises:
        UsageError: an image or Python is unknown, none is named, or its constraints are unusable.
    """
    asked_kinds = options.items("kind") or [ImageKind.CI]
    kinds = _distinct(ImageKind.parse(one, "--kind") for one in asked_kinds)
    asked = options.items("python")
    if not asked:
        raise UsageError(f"--python: name one or more of {formatting.listed(settings.pythons)}")
    pythons = _distinct(matrix.parse_python(one, "--python", settings.pythons) for one in asked)
    _check_options(settings, kinds)
    if ImageKind.CI in kinds:
        for python in pythons:
            constraint_files.check(
                constraint_files.path(ROOT, python), python, settings.airflow_for(python)
            )
    # What a PROD image installs from elsewhere may have other extras; its build looks at them.
    released = settings.airflow_from == "release" and not settings.prod_slim
    for python in pythons if ImageKind.CI in kinds or released else ():
        extras.check(settings, python)
    return [(kind, python) for kind in kinds for python in pythons]


def _check_options(settings: Settings, kinds: list[ImageKind]) -> None:
    """Raise UsageError for an option that none of the images understands."""
    for item in FIELDS:
        if (
            item.kind
            and item.kind not in kinds
            and settings.origins[item.key] == f"--{item.option}"
        ):
            raise UsageError(f"--{item.option}: is for the {item.kind.upper()} image only")
    if ImageKind.PROD in kinds and settings.prod_slim:
        for option, key in (("extras", "airflow.extras"), ("clients", "prod.clients")):
            # Beside a CI image, which has extras, they may be meant for that one.
            if kinds == [ImageKind.PROD] and settings.origins[key] == f"--{option}":
                raise UsageError(f"--slim --{option}: a slim image has none: leave one of them out")


def _distinct(values: Iterable[T]) -> list[T]:
    return [*dict.fromkeys(values)]
