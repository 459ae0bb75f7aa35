"""Building images, pushing them, and joining their platforms."""

from __future__ import annotations

from build_tasks import console
from build_tasks.batch import run
from build_tasks.buildx import commands
from build_tasks.commands.output import say
from build_tasks.config.options import Options
from build_tasks.model.build import Output
from build_tasks.model.matrix import ImageKind
from build_tasks.plan import planner, preflight


def build(options: Options) -> None:
    """Build the images that the options select."""
    _build(options)


def build_all(options: Options) -> None:
    """Build the whole matrix, or the part of it that the options select."""
    _build(whole_matrix(options))


def bake(options: Options) -> None:
    """Print the builds as a file for `docker buildx bake`."""
    _bake(whole_matrix(options))


def push_image(options: Options) -> None:
    """Build, which the cache makes short, and push the images to their registry."""
    _build(options, output=None if options.flag("push-by-digest") else Output.PUSH)


def push_cache(options: Options) -> None:
    """Build, which the cache makes short, and write the caches to the registry."""
    _build(options, output=Output.NONE, push_cache=True)


def merge_image(options: Options) -> None:
    """Join images that were pushed by digest, here or elsewhere, under their tag."""
    from build_tasks.plan import trust  # noqa: PLC0415 - start-up time
    from build_tasks.publish import multiplatform  # noqa: PLC0415 - start-up time

    settings = options.settings()
    ci_run = trust.current_run(settings)
    if not ci_run.trusted:
        say(f"nothing is merged: this run is not trusted: {ci_run.distrust}")
        return
    multiplatform.merge_files(options, settings, announce=say)


def _build(options: Options, *, output: Output | None = None, push_cache: bool = False) -> None:
    run.check(options)
    settings = options.settings()
    where, builds = planner.plan_builds(
        options, settings, output=output, push_cache=push_cache, announce=say
    )
    if options.flag("dry-run"):
        from build_tasks.publish import multiplatform  # noqa: PLC0415 - start-up time

        for line in multiplatform.shell_lines(where.client, builds):
            console.answer(line)
        return
    if settings.builder in settings.builders:
        from build_tasks.commands import builder_actions  # noqa: PLC0415 - start-up time

        builder_actions.prepare(where, announce=say)
    possible = [spec for spec in builds if not spec.run.refused]
    preflight.require(where.client, possible, announce=say)
    run.build(where, builds, options, announce=say)


def whole_matrix(options: Options) -> Options:
    """Return the options with the whole matrix where they name no part of it."""
    whole = {"kind": ",".join(ImageKind), "python": ",".join(options.settings().pythons)}
    named = {name: options.text(name) or all_ for name, all_ in whole.items()}
    return Options({**options.given, **named})


def _bake(options: Options) -> None:
    from build_tasks import process  # noqa: PLC0415 - start-up time
    from build_tasks.plan import bake  # noqa: PLC0415 - start-up time
    from build_tasks.publish import multiplatform  # noqa: PLC0415 - start-up time

    dry = Options({**options.given, "dry-run": True})
    settings = dry.settings()
    where, specs = planner.plan_builds(dry, settings, output=None, push_cache=False, announce=say)
    client = where.client
    for refused in (spec for spec in specs if spec.run.refused):
        say(f"{refused.identity} is left out: {refused.run.refused}")
    specs = [spec for spec in specs if not spec.run.refused]
    console.answer(bake.definition(specs))
    command = commands.bake_command(client, settings.builder, bake.reads(specs))
    say("build it with the following, from any folder:")
    say(f"  {process.quote(command, client.environment)} < FILE")
    for line in multiplatform.shell_lines(client, specs):
        if line.startswith("# "):  # a merge, which no file of bake can say
            say(f"and then:\n  {line.removeprefix('# ')}")
