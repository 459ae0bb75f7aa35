"""What a project adds to the image to verify: own images, another Dockerfile, files of checks."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from build_tasks import paths
from build_tasks.config.settings import Settings
from build_tasks.constraints import requirement_files
from build_tasks.errors import UsageError
from build_tasks.model import own_image
from build_tasks.model.matrix import Build, ImageKind
from build_tasks.plan import dockerfiles
from build_tasks.verify.target import Target


def add(target: Target, settings: Settings) -> Target:
    """Return the image with what the project adds to it.

    Raises:
        UsageError: an own image is unknown, or a file cannot be read.
    """
    build = target.build
    target = replace(
        target,
        other_dockerfile=dockerfiles.is_other(settings, build.kind),
        checks=tuple(_checks(settings, build)),
    )
    if not build.name:
        return target
    names = reversed(own_image.chain(settings.images, build.name))
    own = tuple(settings.images[name] for name in names if name in settings.images)
    found = [requirement_files.own_requirements(settings, image, build.python) for image in own]
    requirements = tuple(text for each in found for _, text in each.requirements)
    limits = (text for each in found for _, text in each.limits)
    return replace(
        target,
        packages=(*target.packages, *requirements),
        additional=(*target.additional, *requirements),
        own=own,
        own_pins=frozenset(
            canonicalize_name(Requirement(text).name) for text in (*requirements, *limits)
        ),
        budget=own[-1].budget,
    )


def _checks(settings: Settings, build: Build) -> Iterator[Path]:
    """Yield the files with checks of an image and of what it stands on, the lowest first."""
    for name in reversed(own_image.chain(settings.images, build.image_name)):
        if name in {*ImageKind}:
            key = f"{name}.checks"
            text, place = settings.values[key], settings.origins[key]
            file = settings.path(key, text)
        else:
            image = settings.images[name]
            text, place = image.checks, image.origins.get("checks", "")
            file = settings.project.root / text
        if text:
            yield _file(file, place)


def _file(file: Path, place: str) -> Path:
    """Return a file of Python, or raise UsageError unless it is one."""
    try:
        ast.parse(paths.read_text(file))
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None
    except (SyntaxError, ValueError) as error:  # ValueError: null bytes
        line = getattr(error, "lineno", None) or 1
        raise UsageError(f"{place}: {file}:{line}: {getattr(error, 'msg', error)}") from None
    return file
