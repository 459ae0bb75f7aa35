"""Multi-platform images: one build per platform, each with its own cache, then one merge.

In a single build for several platforms, the nodes of a builder overwrite each other's cache, and a
platform that fails takes the others with it. So each image is pushed by digest, and the merge makes
one tagged index of them. buildx accepts an index that lacks a platform or contains one twice: both
the sources and the result are checked here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from build_tasks import console, process
from build_tasks.buildx import commands, imagetools, management
from build_tasks.buildx.imagetools import Index
from build_tasks.buildx.toolchain import Client
from build_tasks.config import parsing
from build_tasks.config.options import Options
from build_tasks.config.settings import Settings
from build_tasks.errors import MissingImage, VerificationError
from build_tasks.model.build import BuildSpec, DigestFile
from build_tasks.model.matrix import Platform
from build_tasks.plan import build_host, revision, selection
from build_tasks.process import Announce, Command
from build_tasks.publish import digests
from build_tasks.text import hints
from build_tasks.text.formatting import listed


@dataclass(frozen=True)
class Merge:
    """An image index to create, with the registry settings of a builder and full references."""

    builder: str
    sources: tuple[DigestFile, ...]
    tags: tuple[str, ...]

    @property
    def summary(self) -> str:
        """What is merged, in words, without its digest."""
        platforms = listed(pushed.build.platform for pushed in self.sources)
        return f"merged {platforms} as {', '.join(self.tags)}"

    def command(self, client: Client, annotations: dict[str, str] | None = None) -> Command:
        """Return the command that creates the index."""
        references = [pushed.reference for pushed in self.sources]
        return imagetools.create_command(
            client, self.builder, tags=self.tags, sources=references, annotations=annotations
        )

    def run(self, client: Client, line: Callable[[str], None] | None = None) -> str:
        """Create the index, and return its digest.

        The output of buildx goes to stderr, or line by line to `line`.

        Raises:
            MissingImage: the registry no longer has one of the sources.
            VerificationError: a source or the result does not have the expected platforms.
            ImagesError: the registry does not answer, or refuses.
        """
        with ThreadPoolExecutor(len(self.sources)) as pool:
            indexes = [*pool.map(partial(self._source, client), self.sources)]
        shared = set.intersection(*(set(index.annotations.items()) for index in indexes))
        command = self.command(client, dict(shared))
        management.stream(client, command, f"merging {self.tags[0]}", line)
        result = imagetools.index(client, self.tags[0], self.builder)
        _check_result(result, indexes, self.tags[0])
        return result.digest

    def _source(self, client: Client, pushed: DigestFile) -> Index:
        try:
            index = imagetools.index(client, pushed.reference, self.builder)
        except MissingImage:
            raise MissingImage(
                f"{pushed.identity}: the registry no longer has {pushed.reference}: build it again"
            ) from None
        platforms = [platform for platform, _ in index.platforms]
        if platforms != [pushed.build.platform]:
            raise VerificationError(
                f"{pushed.identity}: {pushed.reference} has {listed(platforms) or 'no platform'}, "
                f"expected only {pushed.build.platform}"
            )
        return index


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


def merge_files(options: Options, settings: Settings, *, announce: Announce) -> None:
    """Merge the images that digest files name; with `--dry-run` print the commands.

    Raises:
        ImagesError: a file is missing or does not match, or a merge failed.
    """
    folder = digests.folder(options.text("digests"), settings.project)
    tags = [parsing.tag(tag, "--tag") for tag in options.items("tag")]
    selected = selection.select(options, settings)
    files = digests.read(folder)
    commit = options.text("commit") or revision.current(settings.project.root, announce).commit
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
    folder: Path | None,
    pushed: Sequence[DigestFile],
    missing: Sequence[BuildSpec],
    tags: Sequence[str],
) -> str:
    """Return which platforms of an image were pushed, and the commands that build the others.

    The folder of the digest files is None if it is the default one.
    """
    first = pushed[0].build
    image = (first.image_name, first.python)
    options = ["--prod-profile", "slim"] if first.slim else []
    options += ["--digests", str(folder)] if folder else []
    rest = [
        hints.image(
            "image.build", *image, spec.build.platform.architecture, ("--push-by-digest", *options)
        )
        for spec in missing
    ]
    if tags:
        names = ",".join(tag.rpartition(":")[2] for tag in tags)
        rest.append(hints.image("image.merge", *image, options=("--tag", names, *options)))
    kept = listed(f"{source.identity} {source.digest}" for source in pushed)
    return f"kept: {kept}; the rest, with the same other options: {'; '.join(rest)}"


def _check_result(result: Index, sources: Sequence[Index], reference: str) -> None:
    expected = sorted(platform for index in sources for platform in index.platforms)
    if sorted(result.platforms) != expected:
        raise VerificationError(
            f"{reference}: has {listed(sorted(platform for platform, _ in result.platforms))}, "
            f"expected {listed(platform for platform, _ in expected)}: another run pushed it, too"
        )
    lost = frozenset().union(*(index.attested for index in sources)) - result.attested
    if lost:
        raise VerificationError(f"{reference}: lacks the attestations of {listed(sorted(lost))}")
