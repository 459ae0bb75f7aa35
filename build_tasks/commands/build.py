"""Build images, push them, and merge their platforms."""

from __future__ import annotations

from collections.abc import Iterable

from build_tasks import process
from build_tasks.buildx import commands
from build_tasks.config.options import Options
from build_tasks.console import answer, message
from build_tasks.model.build import BuildSpec, Output
from build_tasks.plan import bake as bake_file
from build_tasks.plan import planner, trust
from build_tasks.publish import merge


def build(options: Options) -> None:
    """Build the selected images."""
    _build(options)


def build_all(options: Options) -> None:
    """Build the whole matrix, or the selected part of it."""
    _build(whole_matrix(options))


def push_image(options: Options) -> None:
    """Build the selected images, and push them."""
    _build(options, output=None if options.flag("push-by-digest") else Output.PUSH)


def push_cache(options: Options) -> None:
    """Build the selected images, and push only their caches."""
    _build(options, output=Output.NONE, push_cache=True)


def merge_image(options: Options) -> None:
    """Merge platforms that were pushed by digest into one image, and tag it."""
    settings = options.settings()
    ci_run = trust.current_run(settings)
    if not ci_run.trusted:
        message(f"nothing is merged: this run is not trusted: {ci_run.distrust}")
        return
    merge.merge_files(options, settings, announce=message)


def bake(options: Options) -> None:
    """Print the selected builds, by default all, as a file for `docker buildx bake`."""
    options = whole_matrix(Options({**options.given, "dry-run": True}))
    settings = options.settings()
    host, specs = planner.plan_builds(
        options, settings, output=None, push_cache=False, announce=message
    )
    for spec in specs:
        if spec.run.refused:
            message(f"{spec.identity} is left out: {spec.run.refused}")
    specs = [spec for spec in specs if not spec.run.refused]
    client = host.client
    answer(bake_file.definition(specs))
    command = commands.bake_command(client, settings.builder, bake_file.entitlements(specs))
    message("build it with this command, from any folder:")
    message(f"  {process.quote(command, client.environment)} < FILE")
    _name_variables(specs)
    for line in merge.merge_lines(client, specs):  # which a bake file cannot express
        message(f"and then:\n  {line}")


def _name_variables(specs: Iterable[BuildSpec]) -> None:
    """Name the variables that shown commands need, and that the suite sets for its own builds."""
    for name in sorted({name for spec in specs for name in spec.inputs.secret_variables}):
        message(f"the commands read the credentials of indexes from {name}, in netrc's format")


def whole_matrix(options: Options) -> Options:
    """Return the options with all images and Pythons where they select none."""
    settings = options.settings()
    matrix = {"kind": ",".join(settings.image_names), "python": ",".join(settings.pythons)}
    selected = {name: options.text(name) or values for name, values in matrix.items()}
    return Options({**options.given, **selected})


def _build(options: Options, *, output: Output | None = None, push_cache: bool = False) -> None:
    settings = options.settings()
    host, specs = planner.plan_builds(
        options, settings, output=output, push_cache=push_cache, announce=message
    )
    if options.flag("dry-run"):
        for line in merge.shell_lines(host.client, specs):
            answer(line)
        _name_variables(specs)
        return
    # A third of a dry run's start-up time.
    from build_tasks.batch import run  # noqa: PLC0415
    from build_tasks.plan import preflight  # noqa: PLC0415

    if settings.builder in settings.builders:
        from build_tasks.commands import builders  # noqa: PLC0415 - 10 % of a no-op build

        builders.create_missing(host)
    possible = [spec for spec in specs if not spec.run.refused]
    preflight.require(host.client, possible, announce=message)
    run.build(host, specs, options, announce=message)
