"""Images for several platforms: one build each, with a cache of its own, then one image.

BuildKit would build them at once; but then the nodes of a builder overwrite each other's cache,
and a platform that fails takes the others with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from build_tasks import console, process
from build_tasks.buildx import commands
from build_tasks.buildx.runner import Built
from build_tasks.buildx.toolchain import Client
from build_tasks.config.options import Options
from build_tasks.config.settings import ROOT, Settings
from build_tasks.errors import CommandError, DiskError
from build_tasks.model import matrix
from build_tasks.model.build import BuildSpec
from build_tasks.model.digest_file import DigestFile
from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.plan import build_host, revision, selection
from build_tasks.publish import digests, merge
from build_tasks.text import formatting


def lines(client: Client, specs: Sequence[BuildSpec]) -> Iterator[str]:
    """Return what a shell would be told to do the same; a merge needs digests that are to come."""
    for _, of_image in groupby(specs, key=lambda spec: spec.output.image):
        parts = []
        for spec in of_image:
            if spec.run.refused:
                yield f"# {spec.identity} cannot be built: {spec.run.refused}"
                continue
            yield process.quote(commands.build_command(client, spec), client.environment)
            if spec.output.digest_file and spec.output.tags:
                unknown = f"DIGEST-OF-{spec.identity}"
                parts.append(replace(spec.output.digest_file, digest=unknown).reference)
        if parts:
            command = merge.merge_command(
                client, spec.run.builder, tags=spec.output.tags, sources=parts, annotations={}
            )
            yield f"# {process.quote(command, client.environment)}"


def merge_written(options: Options, settings: Settings, *, announce: Callable[[str], None]) -> None:
    """Join the images that digest files name, under their tag.

    Args:
        options: what a person gave.
        settings: the effective settings.
        announce: is told what is merged.

    Raises:
        ImagesError: a file is missing or does not fit, or the registry has not what it names.
    """
    folder = digests.folder(options.text("digests"))
    tags = [matrix.parse_tag(tag, "--tag") for tag in options.items("tag")]
    selected = selection.select(options, settings)
    known = digests.read(folder)
    commit = options.text("commit") or revision.current(ROOT, announce).commit
    where = build_host.find(settings, start=not options.flag("dry-run"), announce=announce)
    todo = []
    for kind, python in selected:
        wanted = _wanted(kind, python, settings)
        image = where.names.image(wanted[0])
        parts = digests.choose(known, wanted, image=image, commit=commit, place=folder)
        todo.append((parts, [f"{image}:{tag}" for tag in tags or [wanted[0].tag]]))
    for parts, references in todo:
        if options.flag("dry-run"):
            sources = [part.reference for part in parts]
            command = merge.merge_command(
                where.client, settings.builder, tags=references, sources=sources, annotations={}
            )
            console.answer(process.quote(command, where.client.environment))
        else:
            announce(join(where.client, settings.builder, parts, references))


def _wanted(kind: ImageKind, python: str, settings: Settings) -> list[Build]:
    slim = kind is ImageKind.PROD and settings.prod_slim
    platforms = settings.platforms or tuple(Platform)
    return [Build(kind, python, platform, slim=slim) for platform in platforms]


def note(
    folder: Path,
    part: DigestFile,
    built: Built,
    announce: Callable[[str], None],
    *,
    merged_here: bool = False,
) -> DigestFile:
    """Write down what a merge has to know of a part that was pushed, and return it.

    Args:
        folder: where digests are written down.
        part: the part, without its digest.
        built: what came of building it.
        announce: is told where it stands.
        merged_here: this run merges it, and does not read what is written down.

    Raises:
        CommandError: buildx did not say the digest.
        DiskError: it cannot be written down, and another run would need it.
    """
    if not built.digest:
        raise CommandError(f"{part.identity}: pushed, and buildx does not say under which digest")
    part = replace(part, digest=built.digest)
    try:
        noted = digests.write(folder, part)
    except DiskError as error:
        if not merged_here:
            raise
        announce(f"warning: {error}")
        return part
    announce(f"its digest is in {noted.file}")
    return noted


def kept(
    folder: Path, parts: Sequence[DigestFile], missing: Sequence[BuildSpec], tags: Sequence[str]
) -> str:
    """Return what need not be built again of an image, and how the rest is done.

    Args:
        folder: where digests are written down.
        parts: what was pushed.
        missing: the builds that failed.
        tags: full references that the image was to get.
    """
    one = parts[0]
    place = ("--digests", str(folder)) if folder != digests.FOLDER else ()
    same = (*(["--slim"] if one.slim else []), *place)
    rest = [
        f"nox -s build_{one.kind}-{one.python}-{spec.build.platform.architecture} -- "
        + process.quote(("--push-by-digest", *same))
        for spec in missing
    ]
    if tags:
        merging = process.quote(("--tag", ",".join(tag.rpartition(":")[2] for tag in tags), *same))
        rest.append(f"nox -s merge_{one.kind}-{one.python} -- {merging}")
    there = formatting.listed(f"{part.identity} {part.digest}" for part in parts)
    return f"kept: {there}; the rest, with the same other options: {'; '.join(rest)}"


def join(
    client: Client,
    builder: str,
    parts: Sequence[DigestFile],
    tags: Sequence[str],
    *,
    line: Callable[[str], None] | None = None,
) -> str:
    """Merge parts under tags, and return one line that says so.

    Args:
        client: the way to buildx.
        builder: the builder whose settings of registries count.
        parts: one for each platform.
        tags: full references that the image gets.
        line: is told what buildx says, instead of our stderr.

    Raises:
        ImagesError: they cannot be joined.
    """
    digest = merge.merge(client, builder, parts, tags, line)
    held = formatting.listed(part.platform for part in parts)
    return f"{parts[0].kind}-{parts[0].python}: merged {held} as {', '.join(tags)} {digest}"
