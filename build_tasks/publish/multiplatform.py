"""Multi-platform images: one build per platform, each with its own cache, then one merge.

In a single build for several platforms, the nodes of a builder overwrite each other's cache, and a
platform that fails takes the others with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from build_tasks import console, process
from build_tasks.buildx import commands
from build_tasks.buildx.toolchain import Client
from build_tasks.config.options import Options
from build_tasks.config.settings import ROOT, Settings
from build_tasks.model import matrix
from build_tasks.model.build import BuildSpec, DigestFile
from build_tasks.model.matrix import Platform
from build_tasks.plan import build_host, revision, selection
from build_tasks.publish import digests
from build_tasks.publish.merge import Merge
from build_tasks.text.formatting import listed


def shell_lines(client: Client, specs: Sequence[BuildSpec]) -> Iterator[str]:
    """Yield the builds as shell commands; merges are comments, since their digests are unknown."""
    for _, group in groupby(specs, key=lambda spec: spec.output.image):
        of_image = list(group)
        for spec in of_image:
            if spec.run.refused:
                yield f"# {spec.identity} cannot be built: {spec.run.refused}"
            else:
                yield process.quote(commands.build_command(client, spec), client.environment)
        for line in merge_lines(client, of_image):
            yield f"# {line}"


def merge_lines(client: Client, specs: Sequence[BuildSpec]) -> Iterator[str]:
    """Yield the merges of builds as shell commands, with a word in place of each digest."""
    for _, group in groupby(specs, key=lambda spec: spec.output.image):
        sources = []
        for spec in group:
            if spec.output.digest_file and spec.output.tags and not spec.run.refused:
                unknown = f"DIGEST-OF-{spec.identity}"
                sources.append(replace(spec.output.digest_file, digest=unknown))
        if sources:
            merge = Merge(spec.run.builder, tuple(sources), spec.output.tags)
            yield process.quote(merge.command(client), client.environment)


def merge_files(options: Options, settings: Settings, *, announce: Callable[[str], None]) -> None:
    """Merge the images that digest files name; with `--dry-run` print the commands.

    Raises:
        ImagesError: a file is missing or does not match, or a merge failed.
    """
    folder = digests.folder(options.text("digests"))
    tags = [matrix.parse_tag(tag, "--tag") for tag in options.items("tag")]
    selected = selection.select(options, settings)
    files = digests.read(folder)
    commit = options.text("commit") or revision.current(ROOT, announce).commit
    host = build_host.find(settings, start=not options.flag("dry-run"), announce=announce)
    merges = []
    for image in selected:
        builds = [image.build(platform) for platform in settings.platforms or tuple(Platform)]
        name = host.names.image(builds[0])
        sources = digests.select(files, builds, image=name, commit=commit, folder=folder)
        references = tuple(f"{name}:{tag}" for tag in tags or [builds[0].tag])
        merges.append(Merge(settings.builder, tuple(sources), references))
    for merge in merges:
        if options.flag("dry-run"):
            console.answer(process.quote(merge.command(host.client), host.client.environment))
        else:
            digest = merge.run(host.client)
            announce(f"{merge.sources[0].build.image_identity}: {merge.summary} {digest}")


def resume_hint(
    folder: Path, pushed: Sequence[DigestFile], missing: Sequence[BuildSpec], tags: Sequence[str]
) -> str:
    """Return which platforms of an image were pushed, and the commands that build the others."""
    first = pushed[0].build
    image = f"{first.kind}-{first.python}"
    options = ["--prod-slim"] if first.slim else []
    options += ["--digests", str(folder)] if folder != digests.FOLDER else []
    rest = [
        f"nox -s build_{image}-{spec.build.platform.architecture} -- "
        + process.quote(("--push-by-digest", *options))
        for spec in missing
    ]
    if tags:
        names = ",".join(tag.rpartition(":")[2] for tag in tags)
        rest.append(f"nox -s merge_{image} -- {process.quote(('--tag', names, *options))}")
    kept = listed(f"{source.identity} {source.digest}" for source in pushed)
    return f"kept: {kept}; the rest, with the same other options: {'; '.join(rest)}"
