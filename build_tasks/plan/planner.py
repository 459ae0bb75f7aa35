"""From options and settings to builds, step by step; nothing starts before all is checked."""

from __future__ import annotations

from build_tasks import paths
from build_tasks.config.options import PROGRESS, Options
from build_tasks.config.parsing import Choice
from build_tasks.config.settings import Settings
from build_tasks.model.build import BuildSpec, ImageOutput, Output, RunOptions
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
from build_tasks.plan.build_host import BuildHost
from build_tasks.plan.cache_policy import CachePolicy
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
    images = selection.select(options, settings)
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
    pythons = [image.python for image in images]
    bases = build_host.base_images(host, pythons, host.platforms, announce, dry=dry)
    if len(host.platforms) > 1 and not dry:
        bases = build_host.pin(host, bases)
    branches = reuse_policy.resolve(settings, ci_run, requested, len(host.platforms), announce)
    specs: list[BuildSpec] = []
    for content in contents:
        base = bases[content.image.python]
        for build in map(content.image.build, host.platforms):
            run = RunOptions(
                paths.cache_folder() / "metadata" / f"{build.identity}.json",
                builder=settings.builder,
                progress=progress,
                multi_node=host.nodes > 1,
                strict_cache=options.flag("strict-cache"),
                refused=base.error,
            )
            inputs = build_inputs.for_build(build, content, host, base)
            cache = cache_policy.plan(caches, host.names, build)
            target = outputs.for_build(build, requested, content, host, branches)
            spec = BuildSpec(build, inputs, cache, target, run)
            specs.append(build_inputs.add_fingerprint_label(spec, settings.project.root))
        if requested.kind is Output.LOAD and len(host.platforms) > 1:
            specs.append(outputs.load_all_platforms(specs[-1], host.platforms))
    return host, specs


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
