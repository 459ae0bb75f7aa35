"""From options and settings to builds, step by step; nothing starts before all is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from build_tasks import paths
from build_tasks.config.options import PROGRESS, Options
from build_tasks.config.settings import Settings
from build_tasks.errors import UsageError
from build_tasks.model.build import BuildSpec, ImageOutput, Output, RunOptions
from build_tasks.plan import (
    build_host,
    build_inputs,
    cache_policy,
    image_content,
    outputs,
    selection,
    trust,
)
from build_tasks.plan.build_host import Base, BuildHost
from build_tasks.plan.cache_policy import CachePolicy
from build_tasks.plan.image_content import ImageContent
from build_tasks.plan.selection import Image
from build_tasks.process import Announce
from build_tasks.text.formatting import listed


@dataclass(frozen=True)
class Request:
    """What the options and settings ask for, checked.

    Args:
        images: the images to build.
        output: their output; its tags are tags alone, without the image's name.
        caches: what the builds may read and write.
        run: how the builds run; its metadata file is a folder.
    """

    images: Sequence[Image]
    output: ImageOutput
    caches: CachePolicy
    run: RunOptions


def plan_builds(
    options: Options,
    settings: Settings,
    *,
    output: Output | None,
    push_cache: bool,
    announce: Announce,
) -> tuple[BuildHost, list[BuildSpec]]:
    """Return the host and the builds, in the order in which they have to run.

    A verb may decide the output, or that the cache is written, whatever the options say.

    Raises:
        ImagesError: an option is wrong, or the engine or all base images are unavailable.
    """
    dry = options.flag("dry-run")
    request = check_request(options, settings, output, announce, push_cache=push_cache)
    build_id = options.text("build-id") or ""
    contents = image_content.collect(request.images, settings, build_id, announce)
    host = build_host.find(settings, start=not dry, announce=announce)
    outputs.check_scanner(request.output.sbom, host)
    pythons = [image.python for image in request.images]
    bases = build_host.base_images(host, pythons, host.platforms, announce, dry=dry)
    return host, make_specs(request, contents, host, bases)


def check_request(
    options: Options,
    settings: Settings,
    output: Output | None,
    announce: Announce,
    *,
    push_cache: bool,
) -> Request:
    """Return what the options and settings ask for; no engine is needed.

    Raises:
        UsageError: an option or a setting is wrong, or they contradict each other.
    """
    run = _run_options(options, settings)
    requested = outputs.parse(options, settings, output)
    images = selection.select(options, settings)
    build_host.configured_ca_bundle(settings)
    write_cache = (
        push_cache or options.flag("push-cache") or settings.origins["cache.to"] == "--cache-to"
    )
    ci_run = trust.current_run(settings)
    requested = outputs.restrict(requested, ci_run, announce, write_cache=write_cache)
    caches = cache_policy.resolve(settings, ci_run, write=write_cache, announce=announce)
    kind = outputs.per_platform(requested.kind, len(settings.platforms))
    cache_policy.check_export(caches, settings, images, kind)
    return Request(images, requested, caches, run)


def make_specs(
    request: Request,
    contents: Sequence[ImageContent],
    host: BuildHost,
    bases: Mapping[str, Base],
) -> list[BuildSpec]:
    """Return one build per image and platform, and those that load all platforms of an image."""
    specs: list[BuildSpec] = []
    for content in contents:
        base = bases[content.image.python]
        for platform in host.platforms:
            build = content.image.build(platform)
            run = replace(
                request.run,
                metadata=request.run.metadata / f"{build.identity}.json",
                multi_node=host.nodes > 1,
                refused=base.error,
            )
            spec = BuildSpec(
                build,
                build_inputs.for_build(build, content, host, base.reference),
                cache_policy.plan(request.caches, host.names, build),
                outputs.for_build(build, request.output, content, host),
                run,
            )
            specs.append(build_inputs.add_fingerprint_label(spec))
        if request.output.kind is Output.LOAD and len(host.platforms) > 1:
            specs.append(outputs.load_all_platforms(specs[-1], host.platforms))
    return specs


def _run_options(options: Options, settings: Settings) -> RunOptions:
    progress = options.text("progress") or "auto"
    if progress not in PROGRESS:
        raise UsageError(f"--progress: unknown display {progress!r}: choose {listed(PROGRESS)}")
    return RunOptions(
        paths.cache_folder() / "metadata",
        builder=settings.builder,
        progress=progress,
        strict_cache=options.flag("strict-cache"),
    )
