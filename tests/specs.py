"""Builds for tests, by the names of their fields alone, wherever in a build these stand."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from build_tasks.model.build import BuildInputs, BuildSpec, ImageOutput, Output, RunOptions
from build_tasks.model.cache import CachePlan
from build_tasks.model.matrix import Build, ImageKind, Platform

BUILD = Build(ImageKind.CI, "3.11", Platform.AMD64)
_PARTS: tuple[tuple[str, type], ...] = (
    ("inputs", BuildInputs),
    ("output", ImageOutput),
    ("run", RunOptions),
    ("build", Build),
)


def make(**fields: Any) -> BuildSpec:
    """Return a build that loads ci-3.11-amd64, but for what is named."""
    return change(
        BuildSpec(
            BUILD,
            BuildInputs(Path("/p/Dockerfile"), Path("/p")),
            CachePlan(),
            ImageOutput(Output.LOAD),
            RunOptions(Path("/m.json")),
        ),
        **fields,
    )


def change(spec: BuildSpec, **fields: Any) -> BuildSpec:
    """Return a build with other fields, like `tags` or `metadata`."""
    for part, kind in _PARTS:
        names = {field.name for field in dataclasses.fields(kind)}
        own = {name: fields.pop(name) for name in [*fields] if name in names}
        spec = dataclasses.replace(spec, **{part: dataclasses.replace(getattr(spec, part), **own)})
    return dataclasses.replace(spec, **fields)
