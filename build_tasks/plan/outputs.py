"""The output of builds: loaded, pushed, pushed by digest for a merge, or none."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from build_tasks.buildx import imagetools
from build_tasks.config import parsing
from build_tasks.config.options import Options
from build_tasks.config.settings import Settings
from build_tasks.errors import ImagesError, UsageError
from build_tasks.inputs.dockerfile.inputs import EPOCH
from build_tasks.model.build import BuildSpec, DigestFile, ImageOutput, Output
from build_tasks.model.cache import CachePlan
from build_tasks.model.matrix import Build, Platform
from build_tasks.plan import reuse_policy
from build_tasks.plan.build_host import BuildHost
from build_tasks.plan.image_content import ImageContent
from build_tasks.plan.trust import CIRun
from build_tasks.process import Announce

#: The first buildx that pushes from the cache of an engine's own builder; older ones store the
#: image in the engine first.
PUSH_FROM_CACHE = (0, 22)
#: The last second of the year 9999, the last one that an image's configuration can have (RFC 3339).
_MAX_EPOCH = 253_402_300_799


def parse(options: Options, settings: Settings, kind: Output | None) -> ImageOutput:
    """Return the output that the options ask for; its tags have no image name yet.

    A verb that decides the output passes its `kind`.

    Raises:
        UsageError: an option is wrong, or options contradict each other.
    """
    pushes = [name for name in ("push", "push-by-digest") if options.flag(name)]
    if pushes and options.flag("load") and kind is None:
        raise UsageError(f"--{pushes[0]} --load: a build has one output: choose one of them")
    if kind is None:
        kind = Output(pushes[-1]) if pushes else Output.LOAD
    if kind is Output.DIGEST and options.text("tag"):
        raise UsageError("--tag: the merge gives tags to what is pushed by digest: give it there")
    if options.flag("sbom") and not kind.pushes:
        raise UsageError("--sbom: only a pushed image can have one: add --push")
    if options.flag("skip-unchanged") and kind is not Output.PUSH:
        raise UsageError(
            "--skip-unchanged: only an image that is pushed under its tags: add --push"
        )
    return ImageOutput(
        kind,
        tags=tuple(parsing.tag(tag, "--tag") for tag in options.items("tag")),
        skip_unchanged=options.flag("skip-unchanged"),
        compression=settings.output_compression,
        sbom=settings.sbom_scanner if options.flag("sbom") else "",
        epoch=_source_date_epoch(),
    )


def restrict(
    output: ImageOutput, run: CIRun, announce: Announce, *, write_cache: bool
) -> ImageOutput:
    """Return the output of a run: an untrusted one pushes nothing, and says so."""
    if run.trusted or not (output.kind.pushes or write_cache):
        return output
    writes = " and ".join(["images"] * output.kind.pushes + ["caches"] * write_cache)
    announce(f"{writes} are not written: this run is not trusted: {run.distrust}")
    if not output.kind.pushes:
        return output
    return replace(output, kind=Output.NONE, skip_unchanged=False, sbom="")


def per_platform(kind: Output, platforms: int) -> Output:
    """Return the output of each platform's build.

    Each platform is built with its own cache. Several are pushed by digest, to be merged, or built
    into the builder's cache, from which one more build loads them all.
    """
    if platforms <= 1:
        return kind
    return {Output.PUSH: Output.DIGEST, Output.LOAD: Output.NONE}.get(kind, kind)


def check_scanner(image: str, host: BuildHost) -> None:
    """Raise UsageError if the image of the SBOM generator is unavailable; empty for none."""
    try:
        if image:
            imagetools.inspect(host.client, image)
    except ImagesError as error:
        raise UsageError(
            f"--sbom: the scanner {image} cannot be had: name another one with --sbom-scanner "
            f"({error})"
        ) from None


def for_build(
    build: Build,
    requested: ImageOutput,
    content: ImageContent,
    host: BuildHost,
    branches: Sequence[str],
) -> ImageOutput:
    """Return the output of one build, which may take the image of a branch."""
    image = host.names.image(build)
    kind = per_platform(requested.kind, len(host.platforms))
    tagged = requested.kind in {Output.PUSH, Output.LOAD}
    tags = (requested.tags or (build.tag,)) if tagged else ()
    references = tuple(f"{image}:{tag}" for tag in tags)
    # With --skip-unchanged, the first of the tags to push and the default one.
    own = (*references[:1], f"{image}:{build.tag}") if requested.skip_unchanged else ()
    stores = host.uses_engine_builder and host.client.version < PUSH_FROM_CACHE
    output = replace(
        requested,
        kind=kind,
        image=image,
        branch=host.settings.branch,
        tags=references,
        reuse=reuse_policy.plan(branches, host.settings, host.names, build, dict.fromkeys(own)),
        push_from_cache=not (kind.pushes and stores),
    )
    if kind is not Output.DIGEST:
        return output
    digest_file = DigestFile(build, image, airflow=content.airflow, commit=content.revision.commit)
    placeholder = host.names.placeholder_tag(build) if host.uses_engine_builder else ""
    return replace(output, placeholder_tag=placeholder, digest_file=digest_file)


def load_all_platforms(last: BuildSpec, platforms: Sequence[Platform]) -> BuildSpec:
    """Return the build that loads an image for all platforms, after the last one was built."""
    build = replace(last.build, platform=platforms[0])
    metadata = last.run.metadata.with_name(f"{build.image_identity}.json")
    return replace(
        last,
        build=build,
        output=replace(last.output, kind=Output.LOAD, extra_platforms=tuple(platforms[1:])),
        cache=CachePlan(),
        run=replace(last.run, metadata=metadata),
    )


def _source_date_epoch() -> str:
    text = os.environ.get(EPOCH, "")
    if text and not (text.isascii() and text.isdecimal() and int(text[:20]) <= _MAX_EPOCH):
        raise UsageError(
            f"{EPOCH}: expected seconds since 1970, an integer from 0 to {_MAX_EPOCH}, "
            f"not {text[:40]!r}"
        )
    return text
