"""From options and settings to builds, step by step; nothing starts before all is checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from build_tasks import paths
from build_tasks.config.options import PROGRESS, Options
from build_tasks.config.parsing import Choice
from build_tasks.config.settings import Settings
from build_tasks.model.build import BuildSpec, ImageOutput, Output, RunOptions
from build_tasks.model.matrix import Platform
from build_tasks.plan import (
    build_host,
    build_inputs,
    cache_policy,
    image_content,
    outputs,
    reuse_policy,
    selection,
    step_secrets,
    trust,
)
from build_tasks.plan.build_host import Base, BuildHost
from build_tasks.plan.cache_policy import CachePolicy
from build_tasks.plan.image_content import ImageContent
from build_tasks.plan.trust import CIRun
from build_tasks.process import Announce


def plan_builds(
    options: Options,
    settings: Settings,
    *,
    output: Output | None,
    push_cache: bool,
    announce: Announce,
) -> tuple[BuildHost, list[BuildSpec]]:
    """Return the host and the builds, in the order in which they have to run.

    There is one build per image and platform, and one that loads all platforms of an image. A verb
    may decide the output, or that the cache is written, whatever the options say.

    Raises:
        ImagesError: an option is wrong, or the engine or all base images are unavailable.
    """
    dry, build_id = options.flag("dry-run"), options.text("build-id") or ""
    progress = Choice("display", PROGRESS)(options.text("progress") or "auto", "--progress")
    requested = outputs.parse(options, settings, output)
    images = selection.with_bases(selection.select(options, settings), settings)
    if not dry:
        step_secrets.check(settings)
    write_cache = push_cache or options.flag("push-cache")
    ci_run = trust.current_run(settings)
    requested, caches = _restrict(requested, settings, ci_run, announce, write_cache=write_cache)
    kind = outputs.per_platform(requested.kind, len(settings.platforms))
    cache_policy.check_export(caches, settings, images, kind)
    contents = image_content.collect(images, settings, build_id, announce, dry=dry)
    host = build_host.find(settings, start=not dry, announce=announce)
    outputs.check_scanner(requested.sbom, host)
    pythons = [content.image.python for content in contents if content.needs_base]
    bases = build_host.base_images(host, pythons, host.platforms, announce, dry=dry)
    if len(host.platforms) > 1 and not dry:
        bases = build_host.pin(host, bases)
    branches = reuse_policy.resolve(settings, ci_run, requested, len(host.platforms), announce)
    specs: list[BuildSpec] = []
    for content in contents:
        for build in map(content.image.build, host.platforms):
            below = _below(specs, content, build.platform)
            base = _made(below) if below else _upstream(content, bases)
            run = RunOptions(
                paths.cache_folder() / "metadata" / f"{build.identity}.json",
                builder=settings.builder,
                progress=progress,
                multi_node=host.nodes > 1,
                strict_cache=options.flag("strict-cache"),
                refused=base.error,
            )
            inputs = build_inputs.for_build(build, content, host, base)
            # Until it is pushed, no registry has the image of the same project.
            inputs = replace(inputs, pull=below is None or below.output.kind.pushes)
            cache = cache_policy.plan(caches, host.names, build)
            target = outputs.for_build(build, requested, content, host, branches)
            spec = BuildSpec(build, inputs, cache, target, run, below.identity if below else "")
            specs.append(build_inputs.add_fingerprint_label(spec, content.root))
        if requested.kind is Output.LOAD and len(host.platforms) > 1:
            specs.append(outputs.load_all_platforms(specs[-1], host.platforms))
    return host, _with_layouts(specs, host)


def _below(
    specs: Iterable[BuildSpec], content: ImageContent, platform: Platform
) -> BuildSpec | None:
    """Return the build of the image that an own image stands on, None for any other image.

    Where one more build loads all platforms, the image is there after that one.
    """
    if content.base is None:
        return None
    below = content.base.build(platform)
    same = [spec for spec in specs if spec.build.image_identity == below.image_identity]
    return next(
        spec for spec in reversed(same) if spec.output.extra_platforms or spec.build == below
    )


def _upstream(content: ImageContent, bases: Mapping[str, Base]) -> Base:
    """Return the base image of upstream; without a reference if the Dockerfile itself names one."""
    return bases[content.image.python] if content.needs_base else Base("")


def _made(spec: BuildSpec) -> Base:
    """Return the image of a build as a base; its digest is known after the build."""
    tags = spec.output.tags or (f"{spec.output.image}:{spec.build.tag}",)
    fingerprint = build_inputs.collect(spec).fingerprint
    of_image = f"{spec.build.image_identity} {fingerprint}"
    return Base(tags[0], spec.run.refused, fingerprint=of_image)


def _with_layouts(specs: Sequence[BuildSpec], host: BuildHost) -> list[BuildSpec]:
    """Return the builds, of which some also write their image into a folder.

    A build that stands on another one finds its image in the registry, or in the engine if that
    is also the builder; else in this folder.
    """
    needed = {spec.needs for spec in specs}

    def with_layout(spec: BuildSpec) -> BuildSpec:
        kind = spec.output.kind
        there = kind.pushes or (kind is Output.LOAD and host.uses_engine_builder)
        if spec.identity not in needed or there:
            return spec
        layout = paths.cache_folder() / "layouts" / spec.identity
        return replace(spec, output=replace(spec.output, layout=layout))

    return [*map(with_layout, specs)]


def _restrict(
    requested: ImageOutput,
    settings: Settings,
    ci_run: CIRun,
    announce: Announce,
    *,
    write_cache: bool,
) -> tuple[ImageOutput, CachePolicy]:
    """Return the output and the caches that this run may write."""
    write_cache = write_cache or settings.origins["cache.to"] == "--cache-to"
    requested = outputs.restrict(requested, ci_run, announce, write_cache=write_cache)
    caches = cache_policy.resolve(settings, ci_run, write=write_cache, announce=announce)
    return requested, caches
