"""From options to an image that exists: which one is meant, and what it has to be."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from build_tasks import paths
from build_tasks.config.options import Options
from build_tasks.config.settings import Settings
from build_tasks.errors import UsageError
from build_tasks.model import matrix
from build_tasks.model.build import CA_BUNDLE
from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.plan import airflow_source, build_host, selection
from build_tasks.plan.build_host import BuildHost
from build_tasks.text import formatting
from build_tasks.verify import target
from build_tasks.verify.archive import Header
from build_tasks.verify.target import Said, Target

_IDENTITY = re.compile(
    rf"(?P<kind>{'|'.join(ImageKind)})(?P<slim>-slim)?-(?P<python>3\.\d+)(?:-(?P<platform>\w+))?"
)


def spelt_out(options: Options) -> Options:
    """Return the options with an identity in place of an image, like `prod-3.11`, spelt out."""
    found = _IDENTITY.fullmatch(options.text("image") or "")
    if not found:
        return options
    meant = {name: text for name, text in found.groupdict().items() if text}
    slim = bool(meant.pop("slim", "")) or options.flag("prod-slim")
    return Options({**options.given, **meant, "prod-slim": slim, "image": None})


def to_verify(options: Options, settings: Settings, *, announce: Callable[[str], None]) -> Target:
    """Return the image to verify: the one that is named, or the one that a build makes.

    Args:
        options: what a person gave.
        settings: the effective settings.
        announce: is told what starting an engine, or making a base image, does.

    Raises:
        ImagesError: an option is wrong, or the image cannot be had.
    """
    named = options.text("image")
    if not named:
        _one(options, settings)
    if kind := options.text("kind"):
        ImageKind.parse(kind, "--kind")
    if python := options.text("python"):
        matrix.parse_python(python, "--python")
    where = build_host.find(settings, start=True, announce=announce)
    platform = _platform(where)
    reference = named or _reference(where, options, platform)
    image = target.find(where.client, reference, platform)
    said = target.said(image, options.text("kind"), options.text("python"))
    slim = said.slim or (said.kind is ImageKind.PROD and settings.prod_slim)
    return Target(
        client=where.client,
        image=image,
        kind=said.kind,
        python=said.python,
        platform=platform,
        airflow=_airflow(settings, said),
        slim=slim,
        constraints=airflow_source.constraints_file(_settings(settings, said), said.python),
        extras=() if slim else settings.airflow_extras,
        packages=_packages(settings, said),
        budget=_budget(settings, said.kind, slim=slim),
        base_image=_base(where, said.python, announce),
        ca_bundle=dict(where.secrets).get(CA_BUNDLE),
        folder=paths.cache_folder() / "verify",
    )


def _base(host: BuildHost, python: str, announce: Callable[[str], None]) -> str:
    found = build_host.base_images(host, [python], (host.client.native,), announce, dry=False)
    return found[python].reference


def to_save(
    options: Options, settings: Settings, *, announce: Callable[[str], None]
) -> tuple[BuildHost, Header]:
    """Return where an image of the engine's is, and what a file of it has to say.

    Raises:
        ImagesError: an option is wrong, or the engine does not have the image.
    """
    _one(options, settings)
    where = build_host.find(settings, start=False, announce=announce)
    platform = _platform(where)
    reference = _reference(where, options, platform)
    image = target.find_local(where.client, reference)
    if image is None:
        raise UsageError(
            f"{reference}: the engine does not have it: build it with --load, or pull it"
        )
    said = target.said(image, options.text("kind"), options.text("python"))
    if image.python != said.python:
        raise UsageError(f"{reference}: its label says Python {image.python!r}, not {said.python}")
    one = Build(said.kind, said.python, Platform.parse(image.platform, reference), slim=said.slim)
    return where, Header(
        identity=one.identity,
        image=reference,
        kind=one.kind.value,
        python=one.python,
        platform=one.platform.value,
        airflow=said.airflow,
    )


def _one(options: Options, settings: Settings) -> tuple[ImageKind, str]:
    selected = selection.select(options, settings)
    if len(selected) > 1:
        raise UsageError(f"--python: one at a time: {options.text('python')}")
    return selected[0]


def _platform(host: BuildHost) -> Platform:
    platforms = host.settings.platforms or (host.client.native,)
    if len(platforms) > 1:
        raise UsageError(f"--platform: one at a time: {formatting.listed(platforms)}")
    return platforms[0]


def _reference(host: BuildHost, options: Options, platform: Platform) -> str:
    kind, python = _one(options, host.settings)
    slim = kind is ImageKind.PROD and host.settings.prod_slim
    one = Build(kind, python, platform, slim=slim)
    tag = options.text("tag") or one.tag
    return f"{host.names.image(one)}:{matrix.parse_tag(tag, '--tag')}"


def _settings(settings: Settings, said: Said) -> Settings:
    """Return the settings as they count for this kind: CI follows the whole file of versions."""
    if said.kind is ImageKind.PROD:
        return settings
    return replace(settings, constraints_mode="constraints", constraints_location="")


def _airflow(settings: Settings, said: Said) -> str:
    release = said.kind is ImageKind.CI or settings.airflow_from == "release"
    return settings.airflow_for(said.python) if release else said.airflow


def _packages(settings: Settings, said: Said) -> tuple[str, ...]:
    tests = settings.ci_test_packages if said.kind is ImageKind.CI else ()
    return (*settings.dependencies_python, *tests)


def _budget(settings: Settings, kind: ImageKind, *, slim: bool) -> int:
    if kind is ImageKind.CI:
        return settings.ci_budget
    return settings.prod_slim_budget if slim else settings.prod_budget
