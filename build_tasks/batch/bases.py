"""Let a build stand on the image that another build of the same run has made."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace

from build_tasks.buildx.toolchain import Client
from build_tasks.model.build import BuildSpec
from build_tasks.model.labels import with_base


@dataclass(frozen=True)
class MadeImage:
    """The image that a build has made, or has taken instead.

    Args:
        spec: the build.
        digest: the digest of the image.
        source: the image of a registry, by digest, that was taken; empty if the build has run.
    """

    spec: BuildSpec
    digest: str
    source: str = ""


def stand_on(client: Client, spec: BuildSpec, made: MadeImage) -> BuildSpec:
    """Return a build that stands on exactly that image, whatever its tags name meanwhile.

    The image is in the registry, in the engine, or in a folder, from which the client sends it to
    any builder.
    """
    output, inputs = made.spec.output, spec.inputs
    inputs = replace(inputs, labels=with_base(inputs.labels, made.digest), pull=True)
    if made.source and not output.kind.pushes:
        inputs = replace(inputs, base_context=f"docker-image://{made.source}")
    elif output.layout:
        inputs = replace(inputs, base_context=f"oci-layout://{output.layout}@{made.digest}")
    else:
        # With --pull, BuildKit would look for it in the registry alone. The classic store of an
        # engine knows no digests of what was built.
        pull = output.kind.pushes
        known = pull or client.containerd_store
        inputs = replace(inputs, pull=pull, base_digest=made.digest if known else "")
    return replace(spec, inputs=inputs)


def of_run(specs: Iterable[BuildSpec], run_id: str) -> list[BuildSpec]:
    """Return builds whose layouts are in a folder of the run."""

    def of_spec(spec: BuildSpec) -> BuildSpec:
        layout = spec.output.layout
        if layout is None:
            return spec
        layout = layout.parent / run_id / layout.name
        return replace(spec, output=replace(spec.output, layout=layout))

    return [*map(of_spec, specs)]


def remove_layouts(specs: Iterable[BuildSpec]) -> None:
    """Remove the folders with layouts: the builds that stand on them have ended."""
    for folder in {spec.output.layout.parent for spec in specs if spec.output.layout}:
        shutil.rmtree(folder, ignore_errors=True)
