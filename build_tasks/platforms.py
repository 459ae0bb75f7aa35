"""Images for several platforms: one build each, with a cache of its own, then one image.

BuildKit would build them at once; but then the nodes of a builder overwrite each other's cache,
and a platform that fails takes the others with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from build_tasks import buildx, digests, matrix, merge, plan, process, revision
from build_tasks.buildx import Built
from build_tasks.client import Client
from build_tasks.digests import Part
from build_tasks.errors import CommandError, ImagesError
from build_tasks.matrix import Build, ImageKind, Platform
from build_tasks.options import Options
from build_tasks.settings import ROOT, Settings
from build_tasks.spec import BuildSpec


@dataclass(frozen=True)
class _Work:
    """What building the platforms of an image needs besides the builds.

    Args:
        client: the way to the engine.
        folder: where digests are written down.
        report: is told what a build made.
        announce: is told everything else.
    """

    client: Client
    folder: Path
    report: Callable[[Built, BuildSpec], None]
    announce: Callable[[str], None]


def build(
    client: Client,
    specs: Sequence[BuildSpec],
    folder: Path,
    *,
    report: Callable[[Built, BuildSpec], None],
    announce: Callable[[str], None],
) -> None:
    """Build, and join what belongs to one image; a platform that fails does not stop the others.

    Args:
        client: the way to the engine.
        specs: the builds, those of one image next to each other.
        folder: where the digests are written down.
        report: is told what a build made.
        announce: is told everything else.

    Raises:
        ImagesError: the first failure, after the image's other platforms; it says what is kept.
    """
    here = _Work(client, folder, report, announce)
    for _, of_image in groupby(specs, key=lambda spec: spec.image):
        _image(here, list(of_image))


def lines(client: Client, specs: Sequence[BuildSpec]) -> Iterator[str]:
    """Return what a shell would be told to do the same; a merge needs digests that are to come."""
    for _, of_image in groupby(specs, key=lambda spec: spec.image):
        parts = []
        for spec in of_image:
            yield process.quote(buildx.build_command(client, spec), client.environment)
            if spec.part and spec.tags:
                unknown = f"DIGEST-OF-{spec.identity}"
                parts.append(replace(spec.part, digest=unknown).reference)
        if parts:
            command = merge.merge_command(
                client, spec.builder, tags=spec.tags, sources=parts, annotations={}
            )
            yield f"# {process.quote(command, client.environment)}"


def merge_written(options: Options, chosen: Settings, *, announce: Callable[[str], None]) -> None:
    """Join the images that digest files name, under their tag.

    Args:
        options: what a person gave.
        chosen: the effective settings.
        announce: is told what is merged.

    Raises:
        ImagesError: a file is missing or does not fit, or the registry has not what it names.
    """
    folder = digests.folder(options.text("digests"))
    tags = [matrix.parse_tag(tag, "--tag") for tag in plan.items(options.text("tag"))]
    selected = plan.select(options, chosen)
    known = digests.read(folder)
    commit = options.text("commit") or revision.current(ROOT).commit
    where = plan.site(chosen, start=not options.flag("dry-run"), announce=announce)
    todo = []
    for kind, python in selected:
        wanted = _wanted(kind, python, chosen)
        image = where.names.image(wanted[0])
        parts = digests.choose(known, wanted, image=image, commit=commit, place=folder)
        todo.append((parts, [f"{image}:{tag}" for tag in tags or [wanted[0].tag]]))
    for parts, references in todo:
        if options.flag("dry-run"):
            sources = [part.reference for part in parts]
            command = merge.merge_command(
                where.client, chosen.builder, tags=references, sources=sources, annotations={}
            )
            print(process.quote(command, where.client.environment))
        else:
            _merge(where.client, chosen.builder, parts, references, announce)


def _wanted(kind: ImageKind, python: str, chosen: Settings) -> list[Build]:
    slim = kind is ImageKind.PROD and chosen.prod_slim
    platforms = chosen.platforms or tuple(Platform)
    return [Build(kind, python, platform, slim=slim) for platform in platforms]


def _image(here: _Work, specs: list[BuildSpec]) -> None:
    parts: list[Part] = []
    failed: list[tuple[BuildSpec, ImagesError]] = []
    for spec in specs:
        if spec.also and failed:
            break
        if spec.part:
            digests.forget(here.folder, spec.part)
        try:
            built = buildx.build(here.client, spec)
            here.report(built, spec)
        except ImagesError as error:
            here.announce(str(error))
            failed.append((spec, error))
            continue
        if spec.part:
            parts.append(_note(here, spec.part, built))
    if failed:
        raise _kept(here, failed, parts, specs)
    if parts and specs[0].tags:
        _merge(here.client, specs[0].builder, parts, specs[0].tags, here.announce)


def _note(here: _Work, part: Part, built: Built) -> Part:
    if not built.digest:
        raise CommandError(f"{part.identity}: pushed, and buildx does not say under which digest")
    noted = digests.write(here.folder, replace(part, digest=built.digest))
    here.announce(f"{noted.identity}: its digest is in {noted.file}")
    return noted


def _kept(
    here: _Work,
    failed: Sequence[tuple[BuildSpec, ImagesError]],
    parts: Sequence[Part],
    specs: Sequence[BuildSpec],
) -> ImagesError:
    """Return the first failure, with what need not be built again and how the rest is done."""
    error = failed[0][1]
    if not parts:
        return error
    one = parts[0]
    place = ("--digests", str(here.folder)) if here.folder != digests.FOLDER else ()
    same = (*(["--slim"] if one.slim else []), *place)
    rest = [
        f"nox -s build_{one.kind}-{one.python}-{spec.platform.architecture} -- "
        + process.quote(("--push-by-digest", *same))
        for spec, _ in failed
    ]
    if specs[0].tags:
        tags = ",".join(tag.rpartition(":")[2] for tag in specs[0].tags)
        merging = process.quote(("--tag", tags, *same))
        rest.append(f"nox -s merge_{one.kind}-{one.python} -- {merging}")
    kept = matrix.listed(f"{part.identity} {part.digest}" for part in parts)
    return type(error)(
        f"{error} (kept: {kept}; the rest, with the same other options: {'; '.join(rest)})"
    )


def _merge(
    client: Client,
    builder: str,
    parts: Sequence[Part],
    tags: Sequence[str],
    announce: Callable[[str], None],
) -> None:
    digest = merge.merge(client, builder, parts, tags)
    held = matrix.listed(part.platform for part in parts)
    announce(f"{parts[0].kind}-{parts[0].python}: merged {held} as {', '.join(tags)} {digest}")
