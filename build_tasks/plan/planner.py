"""From options to the list of builds: everything is checked here, before anything starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from build_tasks import paths
from build_tasks.buildx import imagetools
from build_tasks.config.options import PROGRESS, Options
from build_tasks.config.settings import ROOT, Settings
from build_tasks.constraints import baseline, constraint_files
from build_tasks.errors import ImagesError, UsageError
from build_tasks.inputs import context
from build_tasks.inputs.context import Allowed, Prepared
from build_tasks.model import build, labels, matrix
from build_tasks.model.build import BuildInputs, BuildSpec, ImageOutput, Output, RunOptions
from build_tasks.model.cache import CachePolicy
from build_tasks.model.digest_file import DigestFile
from build_tasks.model.matrix import Build, ImageKind
from build_tasks.model.revision import Revision
from build_tasks.plan import (
    arguments,
    build_host,
    build_inputs,
    cache_policy,
    outputs,
    revision,
    selection,
)
from build_tasks.plan.build_host import BuildHost
from build_tasks.plan.trust import CIRun
from build_tasks.text import formatting

if TYPE_CHECKING:
    from build_tasks.model.installation import Installation

#: The oldest buildx that pushes from an engine's own builder; before, the engine stored and pushed.
DIRECT_PUSH = (0, 22)
#: The end of the year 9999, the last one that an image's configuration can have (RFC 3339).
_LAST_SECOND = 253_402_300_799
#: Where CI systems put the id of the run, in the order that they are looked at.
BUILD_ID_VARIABLES = ("BUILD_ID", "GITHUB_RUN_ID", "CI_PIPELINE_ID")


@dataclass(frozen=True)
class _Asked:
    """What a person wants to become of the builds, checked.

    Args:
        output: what becomes of the images.
        tags: the tags that they get.
        progress: how their progress is shown.
        writes: their caches are written.
        sbom: they say what they hold.
        skips: what is in the registry already is tagged, not built.
    """

    output: Output
    tags: tuple[str, ...]
    progress: str
    writes: bool
    sbom: bool
    skips: bool


@dataclass(frozen=True)
class _Shared:
    """What all builds of a run have in common."""

    where: BuildHost
    asked: _Asked
    output: Output
    caches: CachePolicy
    secrets: tuple[tuple[str, Path], ...]
    sent: Mapping[Path, Prepared]
    commit: Revision
    scanner: str
    direct: bool
    strict: bool
    epoch: str


def plan_builds(
    options: Options,
    settings: Settings,
    *,
    output: Output | None,
    push_cache: bool,
    announce: Callable[[str], None],
) -> tuple[BuildHost, list[BuildSpec]]:
    """Return where to build and the builds, in the order in which they are to be made.

    Args:
        options: what a person gave.
        settings: the effective settings.
        output: what becomes of the images, where the verb and not the options say it.
        push_cache: write the cache, whatever the options say.
        announce: is told what starting an engine does.

    Raises:
        ImagesError: an option is wrong, or the engine or a base image cannot be had.
    """
    writes = (
        push_cache or options.flag("push-cache") or settings.origins["cache.to"] == "--cache-to"
    )
    asked = _asked(options, output or _output(options), writes=writes)
    selected = selection.select(options, settings)
    epoch = _epoch()
    bundle = _ca_bundle(settings)
    run = cache_policy.judge(settings)
    asked = _allowed(asked, run, announce)
    caches = cache_policy.settle(settings, run, writes=writes, checkout=ROOT, announce=announce)
    installations = _installations(settings, selected, announce)
    _warn(settings, selected, installations, announce)
    sent = _sent(installations.values(), settings, announce)
    dry = options.flag("dry-run")
    where = build_host.find(settings, start=not dry, announce=announce)
    platforms = settings.platforms or (where.client.native,)
    each = outputs.each(asked.output, platforms)
    old = each.pushes and where.uses_engine_builder and where.client.version < DIRECT_PUSH
    shared = _Shared(
        where,
        asked,
        each,
        caches,
        secrets=build_host.secrets(bundle, where),
        sent=sent,
        commit=replace(
            revision.current(ROOT, announce), build_id=options.text("build-id") or _build_id()
        ),
        scanner=_scanner(where) if asked.sbom else "",
        direct=not old,
        strict=options.flag("strict-cache"),
        epoch=epoch,
    )
    choose = cache(partial(baseline.select, ROOT, announce=announce))  # both images have the same
    pythons = [python for _, python in selected]
    bases = build_host.base_images(where, pythons, platforms, announce, dry=dry)
    result: list[BuildSpec] = []
    for kind, python in selected:
        install = installations[python] if kind is ImageKind.PROD else None
        slim = bool(install) and settings.prod_slim
        first = choose(python, slim=slim)
        for platform in platforms:
            one = Build(kind, python, platform, slim=slim)
            made = _spec(shared, one, bases[python].reference, first, install)
            made = replace(made, run=replace(made.run, refused=bases[python].refused))
            result.append(build_inputs.add_fingerprint_label(made))
        if asked.output is not each and asked.output is Output.LOAD:
            result.append(outputs.together(result[-1], platforms))
    exports = [(one.identity, one.cache.export) for one in result]
    cache_policy.refuse_clobbering(exports, settings.origins["cache.to"])
    if each is Output.NONE:
        cache_policy.refuse_inline((target for _, target in exports), settings.origins["cache.to"])
    return where, result


def _spec(
    shared: _Shared, one: Build, base: str, first: str, install: Installation | None
) -> BuildSpec:
    """Return one build, whose dependencies begin with what the first layer is made of."""
    where, asked = shared.where, shared.asked
    settings = where.settings
    image = where.names.image(one)
    airflow = install.version if install else settings.airflow_for(one.python)
    to_merge = shared.output is Output.DIGEST
    contexts = sorted(install.contexts.items()) if install else []
    tags = [f"{image}:{tag}" for tag in asked.tags or (one.tag,)]
    digest_file = DigestFile(one, image, airflow, shared.commit.commit)
    return BuildSpec(
        one,
        BuildInputs(
            dockerfile=ROOT / one.kind.dockerfile,
            context=shared.sent[ROOT].folder,
            arguments=(
                ("AIRFLOW_BASELINE", first),
                *arguments.arguments(
                    one, settings, base_image=base, installation=install, revision=shared.commit
                ),
            ),
            secrets=shared.secrets,
            contexts=tuple((name, shared.sent[folder].folder) for name, folder in contexts),
            files=_files(shared.sent, install),
            labels=labels.labels(one, airflow=airflow, base_image=base, revision=shared.commit),
        ),
        cache_policy.plan(shared.caches, where.names, one),
        ImageOutput(
            shared.output,
            image,
            branch=settings.branch,
            tags=() if asked.output in outputs.UNTAGGED else tuple(tags),
            placeholder_tag=where.names.placeholder_tag(one)
            if to_merge and where.uses_engine_builder
            else "",
            digest_file=digest_file if to_merge else None,
            push_from_cache=shared.direct,
            skip_unchanged=asked.skips,
            compression=settings.output_compression,
            sbom=shared.scanner,
            epoch=shared.epoch,
        ),
        RunOptions(
            paths.cache_folder() / "metadata" / f"{one.identity}.json",
            builder=settings.builder,
            progress=asked.progress,
            multi_node=where.nodes > 1,
            strict_cache=shared.strict,
        ),
    )


def _asked(options: Options, wanted: Output, *, writes: bool) -> _Asked:
    """Return what the options ask for.

    Raises:
        UsageError: they contradict each other, or one is wrong.
    """
    if wanted is Output.DIGEST and options.text("tag"):
        raise UsageError("--tag: the merge gives tags to what is pushed by digest: give it there")
    tags = tuple(matrix.parse_tag(tag, "--tag") for tag in options.items("tag"))
    progress = options.text("progress") or "auto"
    if progress not in PROGRESS:
        raise UsageError(
            f"--progress: unknown display {progress!r}: choose {formatting.listed(PROGRESS)}"
        )
    sbom, skips = options.flag("sbom"), options.flag("skip-unchanged")
    if sbom and not wanted.pushes:
        raise UsageError("--sbom: only a pushed image can have one: add --push")
    if skips and wanted is not Output.PUSH:
        raise UsageError(
            "--skip-unchanged: only an image that is pushed under its tags: add --push"
        )
    return _Asked(wanted, tags, progress, writes, sbom, skips)


def _sent(
    installations: Iterable[Installation], settings: Settings, announce: Callable[[str], None]
) -> dict[Path, Prepared]:
    """Return what is sent for the project, and for each folder that replaces a stage."""
    named = {pair for install in installations for pair in install.contexts.items()}
    result = {}
    for name, folder in [("", ROOT), *sorted(named)]:
        allowed = Allowed(
            settings.context_untracked,
            settings.context_ignored,
            everything=name == "wheels",  # they are there to be installed
        )
        result[folder] = context.prepare(folder, allowed, announce)
    return result


def _files(sent: Mapping[Path, Prepared], install: Installation | None) -> dict[str, str]:
    """Return the fingerprints of all files that are sent, those for a stage with its name."""
    files = dict(sent[ROOT].files)
    for name, folder in install.contexts.items() if install else ():
        files |= {f"{name}:{path}": text for path, text in sent[folder].files.items()}
    return files


def _output(options: Options) -> Output:
    pushed = [name for name in ("push", "push-by-digest") if options.flag(name)]
    if pushed and options.flag("load"):
        raise UsageError(f"--{pushed[0]} --load: a build has one output: choose one of them")
    return Output(pushed[-1]) if pushed else Output.LOAD


def _installations(
    settings: Settings, selected: list[tuple[ImageKind, str]], announce: Callable[[str], None]
) -> dict[str, Installation]:
    """Return how Airflow gets into the PROD images, by their Python."""
    pythons = [python for kind, python in selected if kind is ImageKind.PROD]
    if not pythons:
        return {}
    from build_tasks.plan import airflow_source  # noqa: PLC0415 - start-up time

    return {python: airflow_source.find(settings, python, announce) for python in pythons}


def _warn(
    settings: Settings,
    selected: list[tuple[ImageKind, str]],
    installations: Mapping[str, Installation],
    announce: Callable[[str], None],
) -> None:
    """Warn of settings that do not count, and of added packages that no constraints pin."""
    for key, plain in (("airflow.from", "release"), ("constraints.location", "")):
        origin = settings.origins[key]
        differs = getattr(settings, key.replace(".", "_")) != plain
        if differs and not origin.startswith("--") and ImageKind.CI in dict(selected):
            announce(f"warning: {origin}: does not count for the CI image, only for PROD")
    said = set()
    for kind, python in selected:
        install = installations[python] if kind is ImageKind.PROD else None
        mode = install.constraints if install else "constraints"
        folder = install.contexts.get("constraints") if install else None
        file = folder / "constraints.txt" if folder else constraint_files.path(ROOT, python, mode)
        tests = () if install else settings.ci_test_packages
        free = constraint_files.unpinned(file, (*settings.dependencies_python, *tests))
        name = settings.constraints_location if folder else constraint_files.place(file)
        if free and (name, *free) not in said:
            said.add((name, *free))
            announce(
                f"warning: {', '.join(free)}: {name} has no version, so the newest is installed: "
                "pin it (NAME==VERSION), or have it in dependencies.python and run: "
                f"nox -s constraints-{python}"
            )


def _allowed(asked: _Asked, run: CIRun, announce: Callable[[str], None]) -> _Asked:
    """Return what may become of the images; an untrusted run says what it does not write."""
    if run.trusted or not (asked.output.pushes or asked.writes):
        return asked
    left = " and ".join(["images"] * asked.output.pushes + ["caches"] * asked.writes)
    announce(f"{left} are not written: this run is not trusted: {run.distrust}")
    if not asked.output.pushes:
        return asked
    return replace(asked, output=Output.NONE, skips=False)


def _scanner(host: BuildHost) -> str:
    """Return the image that makes SBOMs, if it can be had from here."""
    image = host.settings.sbom_scanner
    try:
        imagetools.inspect(host.client, image)
    except ImagesError as error:
        raise UsageError(
            f"--sbom: the scanner {image} cannot be had: name another one with --sbom-scanner "
            f"({error})"
        ) from None
    return image


def _build_id() -> str:
    return next((os.environ[name] for name in BUILD_ID_VARIABLES if os.environ.get(name)), "")


def _epoch() -> str:
    """Return the time that the images get, empty if nobody sets it.

    Raises:
        UsageError: it is not a number of seconds since 1970.
    """
    text = os.environ.get(build.EPOCH, "")
    if text and not (text.isascii() and text.isdecimal() and int(text[:20]) <= _LAST_SECOND):
        raise UsageError(
            f"{build.EPOCH}: expected seconds since 1970, an integer from 0 to {_LAST_SECOND}, "
            f"not {text[:40]!r}"
        )
    return text


def _ca_bundle(settings: Settings) -> Path | None:
    if not settings.ca_bundle:
        return None
    bundle = paths.expand_user(settings.ca_bundle).absolute()
    if not bundle.is_file():
        raise UsageError(f"{settings.origins['ca-bundle']}: no such file: {settings.ca_bundle}")
    return bundle
