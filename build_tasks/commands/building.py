"""Building images, pushing them, and joining their platforms."""

from __future__ import annotations

from build_tasks import buildx, capabilities, plan
from build_tasks.buildx import Built
from build_tasks.commands.shown import say
from build_tasks.errors import RegistryError
from build_tasks.options import Options
from build_tasks.spec import BuildSpec, Output


def build(options: Options) -> None:
    """Build the images that the options select, one after another."""
    _build(options)


def push_image(options: Options) -> None:
    """Build, which the cache makes short, and push the images to their registry."""
    _build(options, output=None if options.flag("push-by-digest") else Output.PUSH)


def push_cache(options: Options) -> None:
    """Build, which the cache makes short, and write the caches to the registry."""
    _build(options, output=Output.NONE, push_cache=True)


def merge_image(options: Options) -> None:
    """Join images that were pushed by digest, here or elsewhere, under their tag."""
    from build_tasks import platforms  # noqa: PLC0415 - start-up time

    platforms.merge_written(options, options.settings(), announce=say)


def _build(options: Options, *, output: Output | None = None, push_cache: bool = False) -> None:
    chosen = options.settings()
    where, builds = plan.specs(options, chosen, output=output, push_cache=push_cache, announce=say)
    if options.flag("dry-run"):
        from build_tasks import platforms  # noqa: PLC0415 - start-up time

        for line in platforms.lines(where.client, builds):
            print(line)
        return
    if chosen.builder in chosen.builders:
        from build_tasks import workshop  # noqa: PLC0415 - start-up time

        workshop.prepare(where, announce=say)
    capabilities.require(where.client, builds, announce=say)
    if any(spec.part or spec.also for spec in builds):
        from build_tasks import digests, platforms  # noqa: PLC0415 - start-up time

        folder = digests.folder(options.text("digests"))
        platforms.build(where.client, builds, folder, report=_report, announce=say)
        return
    for spec in builds:
        _report(buildx.build(where.client, spec), spec)


def _report(built: Built, spec: BuildSpec) -> None:
    """Say what a build made; a cache that was asked for and not written is never passed over."""
    if spec.cache.export and not built.cache_exported:
        lost = f"{built.identity}: the cache was not written to {spec.cache.export}"
        if spec.output is Output.NONE and not spec.tags:
            raise RegistryError(f"{lost}: the reason stands above, at 'exporting cache'")
        say(f"warning: {lost}: the reason stands above, at 'exporting cache'")
    made = {
        Output.LOAD: f"loaded {', '.join(spec.tags)}",
        Output.PUSH: f"pushed {', '.join(spec.tags)}",
        Output.DIGEST: f"pushed {spec.image}",
        Output.NONE: f"wrote {spec.cache.export}" if spec.cache.export else "built",
    }[spec.output]
    digest = f" {built.digest}" if built.digest and spec.output is not Output.NONE else ""
    say(f"{built.identity}: {made}{digest}")
