"""Cache storage backends of BuildKit, as values of `--cache-from` and `--cache-to`.

Only what this suite decides is checked here: the type, attributes with credentials, which would
show in the process list and in logs, and attributes that would make builds overwrite or lose
caches. buildx and BuildKit check everything else.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from build_tasks.errors import UsageError
from build_tasks.model.aliases import Pairs
from build_tasks.text.formatting import listed


class BackendType(StrEnum):
    """Types of cache storage."""

    REGISTRY = "registry"
    LOCAL = "local"
    INLINE = "inline"
    GHA = "gha"
    S3 = "s3"
    AZBLOB = "azblob"


#: Types that the driver `docker` supports, with the containerd image store.
DOCKER_DRIVER_TYPES = frozenset(BackendType) - {BackendType.S3, BackendType.AZBLOB}
#: Placeholders of attributes; each build fills them in.
PLACEHOLDERS = ("{identity}", "{kind}", "{python}", "{architecture}", "{branch}")
#: Attributes with credentials, and where BuildKit finds these otherwise.
_CREDENTIALS = {
    "token": "ACTIONS_RUNTIME_TOKEN",
    "ghtoken": "ACTIONS_RUNTIME_TOKEN",
    "access_key_id": "the builder's environment or credentials file",
    "secret_access_key": "the builder's environment or credentials file",
    "session_token": "the builder's environment or credentials file",
}
#: The attribute without which a cache cannot be read, and written.
_REQUIRED = {BackendType.REGISTRY: ("ref", "ref"), BackendType.LOCAL: ("src", "dest")}
#: The attribute that separates the caches of two builds; by default it is the build's identity.
_SCOPE = {BackendType.GHA: "scope", BackendType.S3: "name", BackendType.AZBLOB: "name"}
#: `max` also keeps the stages that are not in the image. A failed export must not fail the build,
#: or the digest of a pushed image would be lost.
_EXPORT = {"mode": "max", "ignore-error": "true"}
#: Backends that store layers as an image. These attributes give a manifest that every registry
#: accepts.
_LAYERED = (BackendType.REGISTRY, BackendType.LOCAL)
_MANIFEST = {"image-manifest": "true", "oci-mediatypes": "true"}
_EXAMPLE = "type=registry,ref=HOST/PATH:TAG"


@dataclass(frozen=True)
class Backend:
    """One cache: its type, and its attributes in order."""

    type: BackendType
    attributes: Pairs = ()

    @property
    def value(self) -> str:
        """The value of `--cache-from` or `--cache-to`."""
        return csv_value([f"type={self.type}", *(f"{key}={text}" for key, text in self.attributes)])

    def __str__(self) -> str:
        return self.value

    @property
    def reference(self) -> str:
        """The name in messages, here and in BuildKit: the registry reference, or the value."""
        return dict(self.attributes).get("ref") or self.value

    def for_build(self, placeholders: Mapping[str, str]) -> Backend:
        """Return the cache of one build, whose values replace the placeholders."""
        attributes = [(key, value.format_map(placeholders)) for key, value in self.attributes]
        scope = _SCOPE.get(self.type)
        if scope and scope not in dict(attributes):
            attributes.append((scope, placeholders["identity"]))
        return replace(self, attributes=tuple(attributes))

    def for_export(self, compression: Pairs) -> Backend:
        """Return the cache with the attributes of an export, unless it has its own."""
        if self.type is BackendType.INLINE:
            return self
        given = dict(self.attributes)
        defaults = dict(_EXPORT)
        if self.type in _LAYERED:
            defaults |= _MANIFEST
            defaults |= {} if "compression" in given else dict(compression)
        # In the order of the first, with the values of the last.
        return replace(self, attributes=tuple({**given, **defaults, **given}.items()))


def registry(reference: str) -> Backend:
    """Return the cache at a registry reference."""
    return Backend(BackendType.REGISTRY, (("ref", reference),))


def parse(text: str, place: str, *, write: bool) -> Backend:
    """Return the cache that a value of `--cache-from`, or `--cache-to` to `write` it, names.

    The value is as buildx takes it: `type=gha,scope=x`, or a reference alone.

    Raises:
        UsageError: the type is unknown, or an attribute is malformed, missing or not allowed.
    """
    try:
        items = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise UsageError(f"{place}: {text!r}: {error}") from None
    if len(items) == 1 and items[0] and "=" not in items[0]:
        items = ["type=registry", f"ref={items[0]}"]
    attributes: dict[str, str] = {}
    for item in items or [""]:
        key, _, value = (part.strip() for part in item.partition("="))
        if not key or not value:
            raise UsageError(f"{place}: expected a value like {_EXAMPLE}, got {item!r}")
        if key in attributes:
            raise UsageError(f"{place}: {text!r}: attribute {key!r} is given twice")
        attributes[key] = value
    name = attributes.pop("type", "")
    if name not in list(BackendType):
        raise UsageError(f"{place}: unknown type {name!r}: choose {listed(BackendType)}")
    backend = Backend(BackendType(name), tuple(attributes.items()))
    _check(backend, place, write=write)
    return backend


def csv_value(values: list[str]) -> str:
    """Return several values as one, in the CSV form that buildx reads."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(values)
    return text.getvalue()


def _check(backend: Backend, place: str, *, write: bool) -> None:
    if backend.type is BackendType.INLINE and not write:
        raise UsageError(f"{place}: to read an inline cache, name its image: {_EXAMPLE}")
    for key, value in backend.attributes:
        if key in _CREDENTIALS:
            raise UsageError(
                f"{place}: {key}: would be seen in the process list and in logs: "
                f"leave it to {_CREDENTIALS[key]}"
            )
        if value != _EXPORT.get(key, value):
            raise UsageError(f"{place}: {key}={value}: is always {_EXPORT[key]}")
        if re.search("[{}]", re.sub("|".join(PLACEHOLDERS), "", value)):
            names = listed(PLACEHOLDERS)
            raise UsageError(f"{place}: unknown placeholder in {value!r}: choose {names}")
    required = _REQUIRED.get(backend.type, ("", ""))[write]
    if required and required not in dict(backend.attributes):
        raise UsageError(f"{place}: type={backend.type} needs {required}=...")
