"""Run containers of images, which are built first if they are out of date."""

from __future__ import annotations

from build_tasks import process
from build_tasks.buildx import containers
from build_tasks.check import up_to_date
from build_tasks.check.verdict import Verdict
from build_tasks.commands import build
from build_tasks.commands.check import recorded
from build_tasks.config.options import Options
from build_tasks.console import message
from build_tasks.errors import EngineError, UsageError
from build_tasks.plan import build_host, selection
from build_tasks.run import container, request


def run_image(options: Options) -> None:
    """Run a command in a container of an image, which is built first if it is out of date."""
    _run(options)


def open_shell(options: Options) -> None:
    """Open a shell in a container of an image, which is built first if it is out of date."""
    _run(options, "bash")


def run_tests(options: Options) -> None:
    """Run tests in a container of an image, which is built first if it is out of date."""
    _run(options, "pytest")


def _run(options: Options, *default: str) -> None:
    asked = request.parse(options, default)
    settings = options.settings()
    image = selection.select_one(options, settings)
    if len(options.items("platform")) > 1:
        raise UsageError(f"--platform: one at a time: {options.text('platform')}")
    sources = container.mounted_sources(settings, image.kind, message)
    host = build_host.find(settings, start=True, announce=message)
    platform = host.platforms[0] if len(host.platforms) == 1 else host.client.native
    options = options.replace({"platform": platform.value})
    *_, verdict = up_to_date.check(
        options.replace({"local": True}),
        options.settings(),
        find_record=recorded,
        announce=message,
    )
    _prepare(verdict, options)
    reference = verdict.findings[0].reference
    described = container.describe(host, image.build(platform), reference, sources, asked)
    if options.flag("verbose"):
        process.echo(containers.run_command(host.client, described), host.client.environment)
    container.run(host.client, described)


def _prepare(verdict: Verdict, options: Options) -> None:
    """Say whether the image is up to date; build it if not, unless nothing is to be built."""
    (finding,) = verdict.findings
    if finding.problem:
        raise EngineError(f"{verdict.identity}: the engine {finding.text}")
    if verdict.unasked:
        message(f"{verdict.identity}: unknown whether the base image changed: {verdict.unasked}")
    if finding.current:
        message(f"{verdict.identity}: is up to date: {finding.reference}")
    elif not options.flag("no-build"):
        message(f"{verdict.identity}: the engine {finding.text}: building it")
        build.build(options)
    elif finding.there:
        message(f"{verdict.identity}: the engine {finding.text}: it runs all the same")
    else:
        raise UsageError(f"--no-build: the engine {finding.text}: {verdict.command} builds it")
