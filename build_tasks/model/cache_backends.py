"""Where BuildKit can keep a cache, and what it can be told of each place.

The types and their attributes are those of BuildKit's README, "Export cache", and of Docker's
documentation of cache storage backends. Whatever holds a secret is refused: it would stand in the
list of processes and in logs, and each of these places can be told by other means.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from build_tasks.errors import UsageError


class BackendType(StrEnum):
    """The places."""

    REGISTRY = "registry"
    LOCAL = "local"
    INLINE = "inline"
    GHA = "gha"
    S3 = "s3"
    AZBLOB = "azblob"


#: Those that an engine's own builder (driver docker) has, with the containerd image store.
OF_ENGINES = frozenset(
    {BackendType.REGISTRY, BackendType.LOCAL, BackendType.INLINE, BackendType.GHA}
)
#: What may stand in braces in an attribute, to be told apart by each build.
PLACEHOLDERS = ("identity", "kind", "python", "architecture", "branch")


@dataclass(frozen=True)
class _Takes:
    """The attributes of one type.

    Args:
        both: of reading and writing.
        read: of reading alone.
        write: of writing alone, besides `mode` and `ignore-error`.
        needed: those without which it cannot be read, and written.
        secret: those that hold a secret, and where BuildKit finds it otherwise.
        own: the attribute that keeps the caches of two builds apart, if there is one.
    """

    both: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    needed: tuple[str, str] = ("", "")
    secret: tuple[tuple[str, str], ...] = ()
    own: str = ""


_LAYERS = ("compression", "compression-level", "force-compression", "oci-mediatypes")
_AWS = "AWS's variables or credentials file on the builder"
_TAKES: Mapping[BackendType, _Takes] = MappingProxyType(
    {
        BackendType.REGISTRY: _Takes(
            ("ref", "registry.insecure"), (), (*_LAYERS, "image-manifest"), ("ref", "ref")
        ),
        BackendType.LOCAL: _Takes(
            ("tag",), ("src", "digest"), ("dest", *_LAYERS, "image-manifest"), ("src", "dest")
        ),
        BackendType.INLINE: _Takes(),
        BackendType.GHA: _Takes(
            ("scope", "url", "url_v2", "version", "timeout", "repository"),
            secret=(("token", "ACTIONS_RUNTIME_TOKEN"), ("ghtoken", "ACTIONS_RUNTIME_TOKEN")),
            own="scope",
        ),
        BackendType.S3: _Takes(
            (
                *("region", "bucket", "name", "prefix", "blobs_prefix", "manifests_prefix"),
                *("endpoint_url", "use_path_style"),
            ),
            write=("upload_parallelism", "touch_refresh"),
            needed=("bucket", "bucket"),
            secret=(("access_key_id", _AWS), ("secret_access_key", _AWS), ("session_token", _AWS)),
            own="name",
        ),
        BackendType.AZBLOB: _Takes(
            ("account_url", "container", "name", "prefix", "blobs_prefix", "manifests_prefix"),
            needed=("account_url", "account_url"),
            secret=(("secret_access_key", "Azure's variables on the builder"),),
            own="name",
        ),
    }
)
#: `max` keeps the segments that are not in the image; a failed export must not take a pushed
#: image's digest with it.
_ALWAYS = (("mode", "max"), ("ignore-error", "true"))
#: Together they give a manifest that every registry accepts.
_MANIFEST = (("image-manifest", "true"), ("oci-mediatypes", "true"))


@dataclass(frozen=True)
class Backend:
    """One place for a cache.

    Args:
        type: what it is.
        attributes: what BuildKit is told of it, in order.
    """

    type: BackendType
    attributes: tuple[tuple[str, str], ...] = ()

    @property
    def value(self) -> str:
        """The value of `--cache-from` or `--cache-to`."""
        return csv_value([f"type={self.type}", *(f"{key}={text}" for key, text in self.attributes)])

    def __str__(self) -> str:
        return self.value

    @property
    def reference(self) -> str:
        """What people call it, and BuildKit's messages: a registry's reference, or all of it."""
        return dict(self.attributes).get("ref") or self.value

    def for_build(self, words: Mapping[str, str]) -> Backend:
        """Return the place of one build, with its words for what stands in braces."""
        filled = []
        for key, text in self.attributes:
            for word, meant in words.items():
                text = text.replace("{" + word + "}", meant)  # noqa: PLW2901 - the same text
            filled.append((key, text))
        own = _TAKES[self.type].own
        if own and own not in dict(filled):
            filled.append((own, words["identity"]))
        return replace(self, attributes=tuple(filled))

    def for_export(self, compression: tuple[tuple[str, str], ...]) -> Backend:
        """Return the place as it is to be written to: with all segments, and never failing a build.

        Args:
            compression: the attributes of compressed layers, where the type takes them.
        """
        takes, given = _TAKES[self.type], dict(self.attributes)
        added: tuple[tuple[str, str], ...] = ()
        if self.type is not BackendType.INLINE:
            added = _ALWAYS
        if "compression" in takes.write:
            own = "compression" in given
            added += (*_MANIFEST, *(() if own else compression))
        kept = [pair for pair in added if pair[0] not in given]
        return replace(self, attributes=(*self.attributes, *kept))


def registry(reference: str) -> Backend:
    """Return the place that a reference is."""
    return Backend(BackendType.REGISTRY, (("ref", reference),))


def parse(text: str, place: str, *, write: bool) -> Backend:
    """Return the place that a value of `--cache-from` or `--cache-to` means.

    Args:
        text: the value, as buildx takes it: `type=gha,scope=x`, or a reference alone.
        place: where it stands, for the error.
        write: whether it is to be written to.

    Raises:
        UsageError: a type or attribute is unknown, lacks its value, or holds a secret.
    """
    items = _items(text, place)
    if len(items) == 1 and "=" not in items[0]:
        items = ["type=registry", f"ref={items[0]}"]
    pairs: list[tuple[str, str]] = []
    for item in items:
        key, _, value = item.partition("=")
        if not key or not value:
            raise UsageError(f"{place}: {item!r} is not like type=registry,ref=HOST/PATH:TAG")
        pairs.append((key.strip(), value.strip()))
    given = {key: value for key, value in pairs if key != "type"}
    name = dict(pairs).get("type", "")
    if len(given) < len(pairs) - 1 or len([key for key, _ in pairs if key == "type"]) > 1:
        raise UsageError(f"{place}: an attribute stands in {text!r} twice")
    try:
        kind = BackendType(name)
    except ValueError:
        valid = ", ".join(BackendType)
        raise UsageError(f"{place}: unknown type {name!r}: choose {valid}") from None
    if kind is BackendType.INLINE and not write:
        raise UsageError(
            f"{place}: an inline cache is read from its image: type=registry,ref=IMAGE"
        )
    _check(kind, given, place, write=write)
    return Backend(kind, tuple(given.items()))


def csv_value(values: list[str]) -> str:
    """Return several values as one, in the form of CSV that buildx reads."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(values)
    return text.getvalue()


def _items(text: str, place: str) -> list[str]:
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise UsageError(f"{place}: {text!r}: {error}") from None
    if not rows or not rows[0]:
        raise UsageError(f"{place}: '' is not like type=registry,ref=HOST/PATH:TAG")
    return rows[0]


def _check(kind: BackendType, given: Mapping[str, str], place: str, *, write: bool) -> None:
    takes = _TAKES[kind]
    fixed = ("mode", "ignore-error") if write and kind is not BackendType.INLINE else ()
    valid = (*takes.both, *(takes.write if write else takes.read), *fixed)
    needed = takes.needed[write]
    for key, value in given.items():
        if key in dict(takes.secret):
            raise UsageError(
                f"{place}: {key}: would be seen in the list of processes and in logs: "
                f"leave it to {dict(takes.secret)[key]}"
            )
        if key not in valid:
            listed = ", ".join(valid) or "none"
            raise UsageError(f"{place}: type={kind} has no attribute {key!r}: choose of {listed}")
        if value != dict(_ALWAYS).get(key, value):
            raise UsageError(f"{place}: {key}={value}: is always {dict(_ALWAYS)[key]}")
        _check_braces(value, place)
    if needed and needed not in given:
        raise UsageError(f"{place}: type={kind} needs {needed}=...")


def _check_braces(value: str, place: str) -> None:
    plain = value
    for word in PLACEHOLDERS:
        plain = plain.replace("{" + word + "}", "")
    if "{" in plain or "}" in plain:
        listed = ", ".join("{" + word + "}" for word in PLACEHOLDERS)
        raise UsageError(f"{place}: {value!r}: in braces may stand {listed}")
