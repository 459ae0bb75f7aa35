"""Find the image that the options select, and what it has to contain."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from build_tasks import paths
from build_tasks.config import parsing, profiles
from build_tasks.config.options import Options
from build_tasks.config.parsing import Choice
from build_tasks.config.settings import Settings
from build_tasks.constraints import constraint_files, requirement_files
from build_tasks.errors import UsageError
from build_tasks.inputs.fingerprint import BASE_ARGUMENT
from build_tasks.model import matrix
from build_tasks.model.build import APT_AUTH, CA_BUNDLE, BuildInputs
from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.plan import (
    airflow_source,
    airflow_tree,
    arguments,
    build_host,
    dockerfiles,
    image_content,
    selection,
    step_secrets,
)
from build_tasks.plan.build_host import BuildHost
from build_tasks.process import Announce
from build_tasks.text.formatting import listed
from build_tasks.verify import additions, target
from build_tasks.verify.target import Image, Target

#: An identity of an image with one of some names; none of a project's own is slim.
_IDENTITY = (
    r"(?P<kind>{})(?P<slim>(?:(?<=^prod)|(?<=^ci))-slim)?-(?P<python>3\.\d+)"
    r"(?:-(?P<platform>\w+))?"
)


def expand_identity(options: Options, settings: Settings) -> Options:
    """Return the options with an image like `prod-3.11` replaced by its kind, Python, platform.

    Raises:
        UsageError: the name in it is misspelt.
    """
    names = sorted(settings.image_names, key=len, reverse=True)  # dags-slim before dags
    identity = _IDENTITY.format("|".join(names))
    text = options.text("image") or ""
    match = re.fullmatch(identity, text)
    if not match:
        _refuse_misspelt(text, names)
        return options
    fields = {name: text for name, text in match.groupdict().items() if text}
    profile = "slim" if fields.pop("slim", "") else options.text("prod-profile")
    return Options({**options.given, **fields, "prod-profile": profile, "image": None})


def _refuse_misspelt(text: str, names: Iterable[str]) -> None:
    """Raise UsageError for what looks like an identity, with a name that is like that of an image.

    An image that somebody has called so can be named with its tag.
    """
    name, dash, rest = text.partition("-3.")
    near = parsing.nearest(name, [*names, "prod-slim"]) if dash and "/" not in name else None
    if near and near != name and re.fullmatch(r"\d+(-\w+)?", rest):
        raise UsageError(f"unknown image {text!r}: did you mean {near}{dash}{rest}?")


def to_verify(options: Options, settings: Settings, *, announce: Announce) -> Target:
    """Return the image to verify: the one that `--image` names, or that of a build.

    Raises:
        ImagesError: an option is wrong, or the image cannot be found.
    """
    if options.flag("contract"):
        return _any_image(options, settings, announce)
    kind, python, name = (options.text(option) for option in ("kind", "python", "image"))
    _check(options, settings)
    host = build_host.find(settings, start=True, announce=announce)
    platform = _platform(host)
    image = target.find(host.client, name or _reference(host, options, platform), platform)
    build = target.identify(image, platform, kind, python, settings.images)
    if build.name and build.name not in settings.images:
        raise UsageError(
            f"{image.reference}: is {build.name}, which is no image of {settings.project.file}: "
            f"add --kind {build.kind} to verify what it stands on"
        )
    if not build.name:
        slim = build.slim or (build.kind is ImageKind.PROD and settings.prod_slim)
        build = replace(build, slim=slim)
    if dockerfiles.is_other(settings, build.kind) and not image.airflow:
        return additions.add(_foreign(host, image, build), settings)
    bases = build_host.base_images(host, [build.python], (host.client.native,), announce, dry=False)
    base = bases[build.python].reference
    checkout = build.kind is ImageKind.CI and settings.ci_checkout
    found = (
        _of_checkout(host, image, build, base, announce)
        if checkout
        else _target(host, image, build, base)
    )
    return additions.add(found, settings)


def _check(options: Options, settings: Settings) -> None:
    """Raise UsageError unless the options select one image, and are those of one."""
    kind, python = options.text("kind"), options.text("python")
    if not options.text("image"):
        selection.select_one(options, settings)
    if kind:
        parsing.Choice("image", settings.image_names)(kind, "--kind")
    if python:
        matrix.parse_python(python, "--python")


def _any_image(options: Options, settings: Settings, announce: Announce) -> Target:
    """Return an image that anybody built; it has no labels, and nobody says what it contains."""
    kind, name = options.text("kind"), options.text("image")
    if kind and Choice("image", settings.image_names)(kind, "--kind") != ImageKind.PROD:
        raise UsageError("--contract: is for the PROD image only")
    options = Options({**options.given, "kind": kind or ImageKind.PROD.value})
    _check(options, settings)
    host = build_host.find(settings, start=True, announce=announce)
    platform = _platform(host)
    image = target.find(host.client, name or _reference(host, options, platform), platform)
    python, airflow = target.versions(host.client, image)
    base = python if python in settings.pythons else settings.pythons[-1]
    bases = build_host.base_images(host, [base], (host.client.native,), announce, dry=False)
    return Target(
        client=host.client,
        image=image,
        build=Build(ImageKind.PROD, python, Platform.parse(image.platform, image.reference)),
        airflow=airflow,
        constraints=Path(),
        extras=(),
        packages=(),
        budget=0,
        bytecode="",
        services=_services(host, bases[base].reference),
        folder=paths.cache_folder() / "verify",
        contract=True,
    )


def to_save(
    options: Options, settings: Settings, *, announce: Announce
) -> tuple[BuildHost, Image, Build]:
    """Return the engine's image to save, and its build.

    Raises:
        ImagesError: an option is wrong, or the engine does not have the image.
    """
    wanted = selection.select_one(options, settings)
    host = build_host.find(settings, start=False, announce=announce)
    reference = _reference(host, options, _platform(host))
    image = target.find_local(host.client, reference)
    if image is None:
        raise UsageError(
            f"{reference}: the engine does not have it: build it with --load, or pull it"
        )
    expected = wanted.title
    if (image.name, image.python) != (expected, wanted.python):
        raise UsageError(
            f"{reference}: expected the labels of {expected}-{wanted.python}, got those of "
            f"{image.name or 'none'}-{image.python or 'none'}"
        )
    platform = Platform.parse(image.platform, reference)
    return host, image, target.identify(image, platform)


def _platform(host: BuildHost) -> Platform:
    platforms = host.settings.platforms or (host.client.native,)
    if len(platforms) > 1:
        raise UsageError(f"--platform: one at a time: {listed(platforms)}")
    return platforms[0]


def _reference(host: BuildHost, options: Options, platform: Platform) -> str:
    build = selection.select_one(options, host.settings).build(platform)
    tag = options.text("tag") or build.tag
    return f"{host.names.image(build)}:{parsing.tag(tag, '--tag')}"


def _target(host: BuildHost, image: Image, build: Build, base_image: str) -> Target:
    settings, tests = host.settings, tuple[str, ...]()
    slim = build.slim or image.slim  # the label of an own image is that of what it stands on
    budget = settings.prod_slim_budget if slim else settings.prod_budget
    if build.kind is ImageKind.CI:
        budget, tests = settings.ci_budget, settings.ci_test_packages
        # CI installs a release, with the constraints of the suite.
        release = {"airflow.from": "release", "constraints.mode": "constraints"}
        settings = settings.replace({**release, "constraints.location": ""})
    of_settings = settings.airflow_for(build.python)
    airflow = of_settings if settings.airflow_from == "release" else image.airflow
    # The label of the image counts, whatever the settings say.
    labelled = settings.replace({"prod.profile": "slim" if slim else "official"})
    extras = profiles.names(profiles.extras(labelled, build.kind, airflow or of_settings))
    added = requirement_files.read(settings, build.python).requirements
    packages = (*(text for _, text in added), *tests)
    return Target(
        client=host.client,
        image=image,
        build=build,
        airflow=airflow,
        constraints=airflow_source.constraints_file(settings, build.python),
        extras=extras,
        packages=packages,
        budget=budget,
        bytecode=settings.prod_bytecode,
        services=_services(host, base_image),
        folder=paths.cache_folder() / "verify",
        additional=packages,
    )


def _foreign(host: BuildHost, image: Image, build: Build) -> Target:
    """Return an image without Airflow, of which the project's own checks know what it has."""
    settings = host.settings
    return Target(
        client=host.client,
        image=image,
        build=build,
        airflow="",
        constraints=Path(),
        extras=(),
        packages=(),
        budget=settings.ci_budget if build.kind is ImageKind.CI else settings.prod_budget,
        bytecode="",
        services=BuildInputs(Path(), Path()),
        folder=paths.cache_folder() / "verify",
        foreign=True,
    )


def _of_checkout(
    host: BuildHost, image: Image, build: Build, base_image: str, announce: Announce
) -> Target:
    """Return a CI image with the distributions of a checkout."""
    settings = host.settings
    if settings.sources == "mount":
        raise UsageError(
            f"{settings.origins['sources']}: an image with mounted sources has no Airflow to "
            "verify: build it with --sources copy, and set sources to copy"
        )
    checkout = airflow_tree.read(settings, announce)
    found = airflow_tree.find(checkout, settings, build.python, announce)
    lines = paths.read_text(found.contexts[airflow_tree.METADATA] / airflow_tree.REQUIREMENTS)
    names = [f"{constraint_files.AIRFLOW}[{','.join(found.extras)}]"] if found.extras else []
    asked = [line for line in lines.splitlines() if not line.startswith("-e ")]
    added = requirement_files.read(settings, build.python).requirements
    additional = (*(text for _, text in added), *settings.ci_test_packages)
    return Target(
        client=host.client,
        image=image,
        build=build,
        airflow=found.version,
        constraints=found.contexts[airflow_tree.CONSTRAINTS] / airflow_tree.PINS,
        extras=found.extras,
        packages=(*sorted(found.local), *names, *asked, *additional),
        budget=settings.ci_budget,
        bytecode=settings.prod_bytecode,
        services=_services(host, base_image),
        folder=paths.cache_folder() / "verify",
        checkout=True,
        additional=additional,
    )


def _services(host: BuildHost, base_image: str) -> BuildInputs:
    """Return the inputs of the image with PostgreSQL and Redis.

    Its packages come from where those of images do.
    """
    folder = Path(__file__).with_name("services")
    own = [secret for secret in host.secrets if secret.id == APT_AUTH]
    step_secrets.check_secrets(host.settings, own)
    return BuildInputs(
        folder / "Dockerfile",
        folder,
        arguments=((BASE_ARGUMENT, base_image), *arguments.proxies(host.settings)),
        secrets=(
            *(secret for secret in host.secrets if secret.id in {CA_BUNDLE, APT_AUTH}),
            *image_content.apt_secrets(host.settings),
        ),
        contexts=(*image_content.apt_context(host.settings).items(), *host.contexts),
    )
