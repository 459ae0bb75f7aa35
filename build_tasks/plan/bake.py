"""Builds as a file for `docker buildx bake`, for those who build without this suite.

bake gives up all targets when one fails, does not retry, and loses the digests of finished targets.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from build_tasks.buildx import commands
from build_tasks.model.build import BuildSpec


def definition(specs: Iterable[BuildSpec]) -> str:
    """Return the bake file of builds, in JSON."""
    targets = {commands.bake_name(spec.identity): commands.bake_target(spec) for spec in specs}
    content = {"group": {"default": {"targets": [*targets]}}, "target": targets}
    text = json.dumps(content, indent=2)
    return text.replace("${", "$${").replace("%{", "%%{")  # bake reads HCL templates in texts


def entitlements(specs: Iterable[BuildSpec]) -> list[str]:
    """Return what bake must be allowed: what builds read outside of its folder, and SSH agents."""
    paths, agents = set[Path](), set[str]()
    for spec in specs:
        paths |= {spec.inputs.context, spec.inputs.dockerfile}
        paths |= {path for _, path in spec.inputs.contexts}
        paths |= {secret.file for secret in spec.inputs.secrets if secret.file}
        keys = [agent.partition("=")[2] for agent in spec.inputs.ssh]
        paths |= {Path(key) for key in keys if key}
        agents |= {"ssh" for key in keys if not key}
    reads = [path for path in sorted(paths) if not set(path.parents) & paths]
    return [*(f"fs.read={path}" for path in reads), *agents]
