"""From options to the list of builds: everything is checked here, before anything starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from build_tasks import (
    buildx,
    client,
    constraints,
    contents,
    context,
    labels,
    matrix,
    outputs,
    places,
    policy,
    revision,
    spec,
)
from build_tasks.client import Client
from build_tasks.constraints import baseline
from build_tasks.context import Allowed, Prepared
from build_tasks.drivers import Driver
from build_tasks.errors import ImagesError, UsageError
from build_tasks.fleet import DEFAULT
from build_tasks.matrix import Build, ImageKind, Names
from build_tasks.options import PROGRESS, Options
from build_tasks.settings import FIELDS, ROOT, Settings
from build_tasks.spec import BuildSpec, Output
from build_tasks.trust import Run

if TYPE_CHECKING:
    from build_tasks.installation import Installation

T = TypeVar("T")
#: The oldest buildx that pushes from an engine's own builder; before, the engine stored and pushed.
DIRECT_PUSH = (0, 22)
UPSTREAM_REGISTRY = "ghcr.io"
#: Where CI systems put the id of the run, in the order that they are looked at.
BUILD_ID_VARIABLES = ("BUILD_ID", "GITHUB_RUN_ID", "CI_PIPELINE_ID")


@dataclass(frozen=True)
class Site:
    """Where a run builds: the engine, the settings and the names that follow from both."""

    client: Client
    settings: Settings
    names: Names


def site(chosen: Settings, *, start: bool, announce: Callable[[str], None]) -> Site:
    """Return the site that the settings mean.

    Args:
        chosen: the effective settings.
        start: start the embedded engine if it is the one and does not run.
        announce: is told what starting does.

    Raises:
        ImagesError: no engine can be used.
    """
    foreign = tuple(platform.architecture for platform in chosen.platforms)
    found = client.find(chosen.engine, start=start, emulate=foreign, announce=announce)
    registry = found.embedded.registry if found.embedded else UPSTREAM_REGISTRY
    names = Names(chosen.registry or registry, chosen.repository, chosen.branch)
    return Site(found.for_builder(chosen.builder), chosen, names)


def select(options: Options, chosen: Settings) -> list[tuple[ImageKind, str]]:
    """Return the images and Pythons that the options ask for, their constraints checked.

    Raises:
        UsageError: an image or Python is unknown, none is named, or its constraints are unusable.
    """
    asked_kinds = items(options.text("kind")) or [ImageKind.CI]
    kinds = _distinct(ImageKind.parse(one, "--kind") for one in asked_kinds)
    asked = items(options.text("python"))
    if not asked:
        raise UsageError(f"--python: name one or more of {matrix.listed(chosen.pythons)}")
    pythons = _distinct(matrix.parse_python(one, "--python", chosen.pythons) for one in asked)
    for item in FIELDS:
        if item.kind and item.kind not in kinds and chosen.origins[item.key] == f"--{item.option}":
            raise UsageError(f"--{item.option}: is for the {item.kind.upper()} image only")
    if ImageKind.PROD in kinds and chosen.prod_slim:
        for option, key in (("extras", "airflow.extras"), ("clients", "prod.clients")):
            # Beside a CI image, which has extras, they may be meant for that one.
            if kinds == [ImageKind.PROD] and chosen.origins[key] == f"--{option}":
                raise UsageError(f"--slim --{option}: a slim image has none: leave one of them out")
    if ImageKind.CI in kinds:
        for python in pythons:
            constraints.check(constraints.path(ROOT, python), python, chosen.airflow_for(python))
    return [(kind, python) for kind in kinds for python in pythons]


def specs(
    options: Options,
    chosen: Settings,
    *,
    output: Output | None,
    push_cache: bool,
    announce: Callable[[str], None],
) -> tuple[Site, list[BuildSpec]]:
    """Return where to build and the builds, in the order in which they are to be made.

    Args:
        options: what a person gave.
        chosen: the effective settings.
        output: what becomes of the images, where the verb and not the options say it.
        push_cache: write the cache, whatever the options say.
        announce: is told what starting an engine does.

    Raises:
        ImagesError: an option is wrong, or the engine or a base image cannot be had.
    """
    wanted = output or _output(options)
    if wanted is Output.DIGEST and options.text("tag"):
        raise UsageError("--tag: the merge gives tags to what is pushed by digest: give it there")
    tags = [matrix.parse_tag(tag, "--tag") for tag in items(options.text("tag"))]
    progress = options.text("progress") or "auto"
    if progress not in PROGRESS:
        raise UsageError(
            f"--progress: unknown display {progress!r}: choose {matrix.listed(PROGRESS)}"
        )
    selected = select(options, chosen)
    if options.flag("sbom") and not wanted.pushes:
        raise UsageError("--sbom: only a pushed image can have one: add --push")
    skips = options.flag("skip-unchanged")
    if skips and (wanted is not Output.PUSH or len(chosen.platforms) > 1):
        raise UsageError("--skip-unchanged: only for an image of one platform: add --push")
    bundle = _ca_bundle(chosen)
    run = policy.judge(chosen)
    writes = push_cache or options.flag("push-cache") or chosen.origins["cache.to"] == "--cache-to"
    wanted = _allowed(wanted, run, announce, writes=writes)
    skips = skips and wanted is Output.PUSH
    caches = policy.settle(chosen, run, writes=writes, checkout=ROOT)
    installations = _installations(chosen, selected, announce)
    sent = _sent(installations.values(), chosen, announce)
    dry = options.flag("dry-run")
    where = site(chosen, start=not dry, announce=announce)
    scanner = _scanner(where) if options.flag("sbom") else ""
    platforms = chosen.platforms or (where.client.native,)
    each = outputs.each(wanted, platforms)
    by_engine = each.pushes and not _pushes_by_digest(where)
    needs_tag = each is Output.DIGEST and by_engine
    crowded = _crowded(where)
    direct = not by_engine or where.client.version >= DIRECT_PUSH
    commit = replace(revision.current(ROOT), build_id=options.text("build-id") or _build_id())
    choose = cache(partial(baseline.choose, ROOT, announce=announce))  # both images have the same
    result = []
    for kind, python in selected:
        base = base_image(where, python, platforms, announce, dry=dry)
        install = installations[python] if kind is ImageKind.PROD else None
        slim = bool(install) and chosen.prod_slim
        first = choose(python, slim=slim)
        for platform in platforms:
            one = Build(kind, python, platform, slim=slim)
            image = where.names.image(one)
            airflow = install.version if install else chosen.airflow_for(python)
            table = labels.labels(
                one,
                airflow=airflow,
                base_image=base,
                revision=commit,
            )
            result.append(
                BuildSpec(
                    identity=one.identity,
                    dockerfile=ROOT / kind.dockerfile,
                    context=sent[ROOT].folder,
                    platform=platform,
                    tags=() if wanted in outputs.UNTAGGED else _tagged(image, tags or [one.tag]),
                    arguments=(
                        ("AIRFLOW_BASELINE", first),
                        *spec.arguments(
                            one,
                            chosen,
                            base_image=base,
                            installation=install,
                            revision=commit,
                        ),
                    ),
                    secrets=secrets(bundle, where),
                    contexts=tuple(
                        (name, sent[folder].folder)
                        for name, folder in sorted(install.contexts.items())
                    )
                    if install
                    else (),
                    files=_files(sent, install),
                    labels=table,
                    sbom=scanner,
                    cache=policy.plan(caches, where.names, one),
                    compression=chosen.output_compression,
                    output=each,
                    metadata=places.cache_folder() / "metadata" / f"{one.identity}.json",
                    builder=chosen.builder,
                    progress=progress,
                    image=image,
                    part=outputs.part(one, image, airflow=airflow, commit=commit.commit)
                    if each is Output.DIGEST
                    else None,
                    skips=skips,
                    stand_in=where.names.stand_in(one) if needs_tag else "",
                    crowded=crowded,
                    direct=direct,
                    strict_cache=options.flag("strict-cache"),
                )
            )
            result[-1] = contents.labelled(result[-1])
        if wanted is not each and wanted is Output.LOAD:
            result.append(outputs.together(result[-1], platforms))
    exports = [(one.identity, one.cache.export) for one in result]
    policy.refuse_clobbering(exports, chosen.origins["cache.to"])
    return where, result


def items(text: str | None) -> list[str]:
    """Return the items of a comma-separated text."""
    return [item.strip() for item in (text or "").split(",") if item.strip()]


def _distinct(values: Iterable[T]) -> list[T]:
    return [*dict.fromkeys(values)]


def _sent(
    installations: Iterable[Installation], chosen: Settings, announce: Callable[[str], None]
) -> dict[Path, Prepared]:
    """Return what is sent for the project, and for each folder that replaces a stage."""
    named = {pair for install in installations for pair in install.contexts.items()}
    result = {}
    for name, folder in [("", ROOT), *sorted(named)]:
        allowed = Allowed(
            chosen.context_untracked,
            chosen.context_ignored,
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
    chosen: Settings, selected: list[tuple[ImageKind, str]], announce: Callable[[str], None]
) -> dict[str, Installation]:
    """Return how Airflow gets into the PROD images, by their Python."""
    pythons = [python for kind, python in selected if kind is ImageKind.PROD]
    if not pythons:
        return {}
    from build_tasks import installation  # noqa: PLC0415 - start-up time

    return {python: installation.find(chosen, python, announce) for python in pythons}


def _allowed(wanted: Output, run: Run, announce: Callable[[str], None], *, writes: bool) -> Output:
    """Return what may become of the images; an untrusted run says what it does not write."""
    if run.trusted or not (wanted.pushes or writes):
        return wanted
    left = " and ".join(["images"] * wanted.pushes + ["caches"] * writes)
    announce(f"{left} are not written: this run is not trusted: {run.distrust}")
    return Output.NONE if wanted.pushes else wanted


def _crowded(where: Site) -> bool:
    """Return whether the builder has several nodes."""
    name = where.settings.builder
    if name == DEFAULT:
        return False
    from build_tasks.builders import store  # noqa: PLC0415 - start-up time

    stored = store.of(where.client, name)
    return stored is not None and len(stored.nodes) > 1


def _pushes_by_digest(where: Site) -> bool:
    """Whether the builder can push an image without a tag; an engine's own cannot."""
    from build_tasks.builders import store  # noqa: PLC0415 - start-up time

    name = where.settings.builder
    stored = store.of(where.client, name)
    defined = where.settings.builders.get(name)
    driver = stored.driver if stored else defined.driver if defined else Driver.DOCKER
    return driver != Driver.DOCKER


def _tagged(image: str, tags: list[str]) -> tuple[str, ...]:
    return tuple(f"{image}:{tag}" for tag in tags)


def _scanner(where: Site) -> str:
    """Return the image that makes SBOMs, if it can be had from here."""
    image = where.settings.sbom_scanner
    try:
        buildx.manifest(where.client, image)
    except ImagesError as error:
        raise UsageError(
            f"--sbom: the scanner {image} cannot be had: name another one with --sbom-scanner "
            f"({error})"
        ) from None
    return image


def _build_id() -> str:
    return next((os.environ[name] for name in BUILD_ID_VARIABLES if os.environ.get(name)), "")


def _ca_bundle(chosen: Settings) -> Path | None:
    if not chosen.ca_bundle:
        return None
    bundle = places.expanded(chosen.ca_bundle).absolute()
    if not bundle.is_file():
        raise UsageError(f"{chosen.origins['ca-bundle']}: no such file: {chosen.ca_bundle}")
    return bundle


def secrets(bundle: Path | None, where: Site) -> tuple[tuple[str, Path], ...]:
    """Return the secrets that steps may read, by id: the CA bundle, where there is one.

    Args:
        bundle: the bundle that a person named.
        where: where a build runs.
    """
    if bundle is None and where.client.embedded:
        bundle = where.client.embedded.ca_bundle
    if bundle is None and Path(os.environ.get("SSL_CERT_FILE", "")).is_file():
        bundle = Path(os.environ["SSL_CERT_FILE"])  # what this machine's own programs trust
    return ((spec.CA_BUNDLE, bundle),) if bundle else ()


def base_image(
    where: Site,
    python: str,
    platforms: tuple[matrix.Platform, ...],
    announce: Callable[[str], None],
    *,
    dry: bool,
) -> str:
    """Return the base image: upstream's, or a stand-in where Docker Hub is out of reach.

    Args:
        where: where it is needed.
        python: its Python.
        platforms: the platforms that it has to be for.
        announce: is told what is made.
        dry: only say its name.

    Raises:
        ImagesError: there is none, or it cannot be made.
    """
    embedded = where.client.embedded
    if embedded is None or embedded.hub or where.settings.origins["base.image"] != "default":
        return where.settings.base_image.replace("{python}", python)
    from build_tasks.engine import bases  # noqa: PLC0415 - the embedded engine's

    if dry:
        return bases.reference(embedded, python)
    architectures = [platform.architecture for platform in platforms]
    return bases.ensure(embedded, python, architectures, announce)
