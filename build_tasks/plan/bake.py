"""Builds as a file for `docker buildx bake`, for those who build without this suite.

bake gives up all targets when one fails, does not retry, and loses the digests of finished targets.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from build_tasks.buildx import commands
from build_tasks.inputs.dockerfile.inputs import EPOCH
from build_tasks.model.build import BuildSpec


def definition(specs: Iterable[BuildSpec]) -> str:
    """Return the bake file of builds, in JSON."""
    # bake does not accept dots in the name of a target.
    targets = {spec.identity.replace(".", "_"): target(spec) for spec in specs}
    content = {"group": {"default": {"targets": [*targets]}}, "target": targets}
    text = json.dumps(content, indent=2)
    return text.replace("${", "$${").replace("%{", "%%{")  # bake reads HCL templates in texts


def target(spec: BuildSpec) -> dict[str, Any]:
    """Return the target that does the same as the command of a build."""
    inputs, output = spec.inputs, spec.output
    attestations = ["type=provenance," + ("mode=min" if output.kind.pushes else "disabled=true")]
    if output.sbom and output.kind.pushes:
        attestations.append(f"type=sbom,generator={output.sbom}")
    values = {
        "description": spec.identity,
        "context": str(inputs.context),
        "dockerfile": str(inputs.dockerfile),
        "platforms": [platform.value for platform in spec.platforms],
        "pull": True,
        "no-cache": not spec.cache.enabled,
        # bake would pass the variable as a build argument, which is a part of cache keys.
        "args": {EPOCH: "", **dict(inputs.arguments)},
        "labels": dict(inputs.labels),
        "annotations": commands.annotation_values(spec),
        "contexts": {name: str(folder) for name, folder in inputs.contexts},
        "secret": [commands.secret_value(name, file) for name, file in inputs.secrets],
        "cache-from": [backend.value for backend in spec.cache.imports],
        "cache-to": [spec.cache.export.value] if spec.cache.export else [],
        "tags": commands.output_tags(spec),
        "output": [commands.output_value(spec)],
        "attest": attestations,
    }
    return {key: value for key, value in values.items() if value}


def reads(specs: Iterable[BuildSpec]) -> list[Path]:
    """Return the files and folders that builds read, without those inside of another one."""
    paths: set[Path] = set()
    for spec in specs:
        paths |= {spec.inputs.context, spec.inputs.dockerfile}
        paths |= {path for _, path in (*spec.inputs.contexts, *spec.inputs.secrets)}
    return [path for path in sorted(paths) if not set(path.parents) & paths]
