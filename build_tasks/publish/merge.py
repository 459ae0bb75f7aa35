"""Merge the images of several platforms, each pushed by digest, into one tagged image index.

buildx accepts an index that lacks a platform or contains one twice. So both the sources and the
result are checked here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from build_tasks.buildx import imagetools, management
from build_tasks.buildx.imagetools import Index
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import MissingImage, VerificationError
from build_tasks.model.build import DigestFile
from build_tasks.process import Command
from build_tasks.text.formatting import listed


@dataclass(frozen=True)
class Merge:
    """An image index to create.

    Args:
        builder: the builder whose registry settings apply.
        sources: the image for each platform.
        tags: full references.
    """

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
        raw = imagetools.inspect(client, self.tags[0], self.builder)
        _check_result(imagetools.parse_index(raw, self.tags[0]), indexes, self.tags[0])
        return f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}"

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
