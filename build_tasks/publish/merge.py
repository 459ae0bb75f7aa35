"""From images for one platform each to one image that holds exactly the platforms asked for.

buildx joins whatever it is given, a platform that is missing or there twice included; what goes
in, and what came of it, is therefore read here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from build_tasks import process
from build_tasks.buildx import classification, imagetools
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import MissingImage, VerificationError
from build_tasks.model.digest_file import DigestFile
from build_tasks.process import Command
from build_tasks.text.formatting import listed

_REFERENCE_TYPE = "vnd.docker.reference.type"
_REFERENCE_DIGEST = "vnd.docker.reference.digest"


@dataclass(frozen=True)
class Contents:
    """What an index holds.

    Args:
        platforms: platform and digest of each image in it, as they stand there.
        attested: the digests of the images that attestations are about.
        annotations: what the index says of itself.
    """

    platforms: tuple[tuple[str, str], ...]
    attested: frozenset[str]
    annotations: Mapping[str, str]


def merge_command(
    client: Client,
    builder: str,
    *,
    tags: Sequence[str],
    sources: Sequence[str],
    annotations: Mapping[str, str],
) -> Command:
    """Return the command that joins images under tags.

    Args:
        client: the way to buildx.
        builder: the builder whose settings of registries count.
        tags: full references that the image gets.
        sources: the images, by digest.
        annotations: what the index says of itself.
    """
    command = [*client.buildx, "imagetools", "create", *client.with_builder(builder)]
    command += ["--progress", "plain"]
    for name, text in sorted(annotations.items()):
        command += ["--annotation", f"index:{name}={text}"]
    for tag in tags:
        command += ["--tag", tag]
    return (*command, *sources)


def merge(
    client: Client,
    builder: str,
    parts: Sequence[DigestFile],
    tags: Sequence[str],
    line: Callable[[str], None] | None = None,
) -> str:
    """Join parts under tags, and return the digest of the image that holds them all.

    Args:
        client: the way to buildx.
        builder: the builder whose settings of registries count.
        parts: one for each platform.
        tags: full references that the image gets.
        line: is told what buildx says, instead of our stderr.

    Raises:
        MissingImage: the registry has one of the parts no more.
        VerificationError: a part, or what came of them, is not what was asked for.
        ImagesError: the registry does not answer, or refuses.
    """
    with ThreadPoolExecutor(len(parts)) as pool:
        found = [*pool.map(partial(_source, client, builder), parts)]
    shared = set.intersection(*(set(one.annotations.items()) for one in found))
    command = merge_command(
        client,
        builder,
        tags=tags,
        sources=[part.reference for part in parts],
        annotations=dict(shared),
    )
    if line:
        line(f"+ {process.quote(command, client.environment)}")
    else:
        process.echo(command, client.environment)
    ended = process.stream(command, environment=client.environment, line=line)
    if ended.returncode:
        raise classification.classify(ended, f"merging {tags[0]}")
    raw = imagetools.inspect(client, tags[0], builder)
    _expect(contents(raw, tags[0]), found, tags[0])
    return f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}"


def contents(raw: str, reference: str) -> Contents:
    """Return what an index holds.

    Args:
        raw: the index (JSON).
        reference: what it was found by, for the error.

    Raises:
        VerificationError: it is none.
    """
    try:
        index = json.loads(raw)
        entries = [_entry(one) for one in index["manifests"]]
        annotations = dict(index.get("annotations") or {})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise VerificationError(f"{reference}: is no index of images") from None
    return Contents(
        platforms=tuple((what, digest) for what, digest, about in entries if not about),
        attested=frozenset(about for _, _, about in entries if about),
        annotations=annotations,
    )


def _entry(one: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return platform, digest, and what an attestation is about.

    An attestation is known by its annotation: its platform is unknown, as an image's may be.
    """
    notes = one.get("annotations") or {}
    about = notes[_REFERENCE_DIGEST] if _REFERENCE_TYPE in notes else ""
    platform = one["platform"]
    return f"{platform['os']}/{platform['architecture']}", one["digest"], about


def _source(client: Client, builder: str, part: DigestFile) -> Contents:
    try:
        raw = imagetools.inspect(client, part.reference, builder)
    except MissingImage:
        raise MissingImage(
            f"{part.identity}: the registry has {part.reference} no more: build it again"
        ) from None
    found = contents(raw, part.reference)
    holds = [platform for platform, _ in found.platforms]
    if holds != [part.platform]:
        raise VerificationError(
            f"{part.identity}: {part.reference} holds {listed(holds) or 'nothing'}, and not just "
            f"{part.platform}"
        )
    return found


def _expect(made: Contents, sources: Sequence[Contents], reference: str) -> None:
    wanted = sorted(pair for one in sources for pair in one.platforms)
    if sorted(made.platforms) != wanted:
        raise VerificationError(
            f"{reference}: holds {listed(sorted(platform for platform, _ in made.platforms))}, "
            f"not {listed(platform for platform, _ in wanted)}: somebody else has pushed it, too"
        )
    lost = frozenset().union(*(one.attested for one in sources)) - made.attested
    if lost:
        raise VerificationError(f"{reference}: the attestations of {listed(sorted(lost))} are lost")
