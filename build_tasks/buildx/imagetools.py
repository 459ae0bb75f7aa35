"""Read and tag images in registries with `buildx imagetools`; no layer is moved.

buildx uses the credentials of the user and the registry settings of the builder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from build_tasks import process
from build_tasks.buildx import classification
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import CommandTimeout, MissingImage, NetworkError, RegistryError
from build_tasks.model.builder import DEFAULT
from build_tasks.process import Command

#: Seconds for a registry to answer.
ANSWER = 10.0
#: Options of `inspect` that print a manifest, or all that buildx knows of an image.
RAW = ("--raw",)
JSON = ("--format", "{{json .}}")

_REFERENCE_TYPE = "vnd.docker.reference.type"
_REFERENCE_DIGEST = "vnd.docker.reference.digest"


class RegistryTimeout(NetworkError):
    """Report a registry that did not answer in time."""


@dataclass(frozen=True)
class Index:
    """The manifests that an image index lists; none if the image is for one platform.

    Args:
        platforms: platform and digest of each image.
        attested: digests of the images that have attestations.
        annotations: the annotations of the index itself.
        digest: the digest of what the registry has under the reference.
    """

    platforms: tuple[tuple[str, str], ...] = ()
    attested: frozenset[str] = frozenset()
    annotations: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""


def create_command(
    client: Client,
    builder: str,
    *,
    tags: Sequence[str],
    sources: Sequence[str],
    annotations: Mapping[str, str] | None = None,
) -> Command:
    """Return the command that tags an image, or several images as one index.

    The tags are full references, the sources images by digest; the annotations are the index's.
    """
    command = [*client.buildx, "imagetools", "create", *client.with_builder(builder)]
    command += ["--progress", "plain"]
    for name, text in sorted((annotations or {}).items()):
        command += ["--annotation", f"index:{name}={text}"]
    for tag in tags:
        command += ["--tag", tag]
    return (*command, *sources)


def inspect(
    client: Client,
    reference: str,
    builder: str = DEFAULT,
    form: Sequence[str] = RAW,
    *,
    timeout: float = ANSWER,
) -> str:
    """Return what `buildx imagetools inspect` prints for a reference.

    Args:
        client: programs and environment.
        reference: an image, by tag or by digest.
        builder: the builder whose registry settings apply.
        form: options that select what is printed.
        timeout: seconds for the registry to answer.

    Raises:
        MissingImage: the registry does not have the image.
        RegistryTimeout: the registry did not answer in time.
        ImagesError: the registry refuses, or cannot be reached.
    """
    name, by_digest, _ = reference.partition("@")
    try:
        return _inspect(client, reference, builder, form, timeout)
    except MissingImage:
        if not by_digest:
            raise
    # After any error for a manifest by digest, containerd looks for a blob of that digest and
    # reports that as not found. For a tag it requests only the manifest, which shows the cause.
    tagged = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    with contextlib.suppress(MissingImage):
        _inspect(client, tagged, builder, RAW, timeout)
    return _inspect(client, reference, builder, form, timeout)


def fetch(
    client: Client, name: str, digest: str, builder: str = DEFAULT, *, timeout: float = ANSWER
) -> str:
    """Return the text that a repository has under a digest: a manifest, or a small JSON blob.

    Raises:
        ImagesError: as for `inspect`, or the answer is another one.
    """
    text = inspect(client, f"{name}@{digest}", builder, timeout=timeout)
    if digest_of(text) != digest:
        raise RegistryError(f"{name}@{digest}: the registry's answer is {digest_of(text)}")
    return text


def digest_of(text: str) -> str:
    """Return the digest by which a registry knows a manifest."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def name_of(reference: str) -> str:
    """Return the name of an image, without its tag and digest."""
    name = reference.partition("@")[0]
    path, colon, tag = name.rpartition(":")
    return path if colon and "/" not in tag else name


def index(
    client: Client, reference: str, builder: str = DEFAULT, *, timeout: float = ANSWER
) -> Index:
    """Return the manifests that a registry lists for a reference.

    Raises:
        ImagesError: as for `inspect`, or the answer is not a manifest.
    """
    return parse_index(inspect(client, reference, builder, timeout=timeout), reference)


def parse_index(raw: str, reference: str) -> Index:
    """Return the manifests that an image index lists.

    An attestation is recognized by its annotation; its platform is `unknown/unknown`, which other
    entries may have as well.

    Raises:
        RegistryError: `raw` is neither an image index nor the manifest of one image.
    """
    platforms, attested = [], set()
    try:
        document = json.loads(raw)
        for entry in document.get("manifests") or ():
            annotations = entry.get("annotations") or {}
            if _REFERENCE_TYPE in annotations:
                attested.add(annotations[_REFERENCE_DIGEST])
                continue
            platform = entry.get("platform") or {}
            name = f"{platform.get('os', 'unknown')}/{platform.get('architecture', 'unknown')}"
            platforms.append((name, str(entry["digest"])))
        own = dict(document.get("annotations") or {})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RegistryError(f"{reference}: the registry's answer is not a manifest") from None
    return Index(tuple(platforms), frozenset(attested), own, digest_of(raw))


def _inspect(
    client: Client, reference: str, builder: str, form: Sequence[str], timeout: float
) -> str:
    options = (*client.with_builder(builder), *form)
    command = (*client.buildx, "imagetools", "inspect", *options, reference)
    try:
        completed = process.run(
            command, environment=client.environment, timeout=timeout, check=False
        )
    except CommandTimeout:
        message = f"{reference}: the registry did not answer within {timeout:g} s"
        raise RegistryTimeout(message, transient=True) from None
    if completed.returncode:
        raise classification.of_registry(completed, reference)
    return completed.stdout
