"""What can be built, and every name that follows from it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from build_tasks.errors import UsageError
from build_tasks.text.formatting import listed

#: A reference's tag: its first character, and its length at most (the OCI distribution
#: specification, "Pulling manifests").
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_PYTHON = re.compile(r"3\.(?:[89]|[1-9][0-9])")
#: One component of an image's name (the same, "Pulling manifests"); and what path_safe adds.
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_DIGEST_LENGTH = 16
_DIGESTED = re.compile(rf"-[0-9a-f]{{{_DIGEST_LENGTH}}}$")
#: Characters of a branch that are kept: a whole name may have 255, and a tag 128.
_LONGEST = 60
_ALIASES = {"x86_64": "amd64", "aarch64": "arm64"}


class ImageKind(StrEnum):
    """The images that Airflow ships."""

    CI = "ci"
    PROD = "prod"

    @property
    def dockerfile(self) -> str:
        """The name of the Dockerfile, at the project's root."""
        return "Dockerfile.ci" if self is ImageKind.CI else "Dockerfile"

    @classmethod
    def parse(cls, text: str, place: str) -> Self:
        """Return the kind with this name, or raise UsageError that names the place."""
        try:
            return cls(text)
        except ValueError:
            raise UsageError(f"{place}: unknown image {text!r}: choose {listed(cls)}") from None


class Platform(StrEnum):
    """The platforms that images are built for, as BuildKit spells them."""

    AMD64 = "linux/amd64"
    ARM64 = "linux/arm64"

    @property
    def architecture(self) -> str:
        """The part that identities and session names carry: `amd64`."""
        return self.value.partition("/")[2]

    @classmethod
    def parse(cls, text: str, place: str) -> Self:
        """Return the platform with this name, or raise UsageError that names the place.

        Args:
            text: `linux/arm64`, or the architecture alone, as Debian or as the kernel says it.
            place: where the text stands, for the error.
        """
        architecture = text.strip().removeprefix("linux/")
        try:
            return cls(f"linux/{_ALIASES.get(architecture, architecture)}")
        except ValueError:
            raise UsageError(f"{place}: unknown platform {text!r}: choose {listed(cls)}") from None


@dataclass(frozen=True, order=True)
class Build:
    """One cell of the matrix: one image for one Python and one platform.

    Args:
        kind: the image.
        python: its Python, as X.Y.
        platform: its platform.
        slim: without extras; it has tags and a cache of its own, so that neither image clobbers
            the other's.
    """

    kind: ImageKind
    python: str
    platform: Platform
    slim: bool = False

    @property
    def identity(self) -> str:
        """The name that the session, the log, the record and the tags share."""
        return f"{self.image_identity}-{self.platform.architecture}"

    @property
    def image_identity(self) -> str:
        """The name of the image of all platforms: `ci-3.11`."""
        slim = "-slim" if self.slim else ""
        return f"{self.kind}{slim}-{self.python}"

    @property
    def tag(self) -> str:
        """The tag that the image gets when nobody names one."""
        return "slim-latest" if self.slim else "latest"


@dataclass(frozen=True)
class Names:
    """Where images and caches live.

    Args:
        registry: a registry's host, with its port if it has one.
        repository: the path of the project in the registry: `apache/airflow`.
        branch: the branch whose images these are, as git has it.
    """

    registry: str
    repository: str
    branch: str

    def for_branch(self, branch: str) -> Names:
        """Return the names of the same images of another branch."""
        return replace(self, branch=branch)

    def image(self, build: Build) -> str:
        """Return the image's name without a tag, as Airflow names its own."""
        branch = path_safe(self.branch)
        return f"{self.registry}/{self.repository}/{branch}/{build.kind}/python{build.python}"

    def cache(self, build: Build) -> str:
        """Return the one reference that holds the cache of all segments of this build.

        One per platform: BuildKit lets the last platform of a shared reference win.
        """
        slim = "-slim" if build.slim else ""
        return f"{self.image(build)}:cache-linux-{build.platform.architecture}{slim}"

    def placeholder_tag(self, build: Build) -> str:
        """Return the tag of a part of an image, where a builder cannot push without a tag."""
        slim = "-slim" if build.slim else ""
        return f"{self.image(build)}:linux-{build.platform.architecture}{slim}"


def path_safe(branch: str) -> str:
    """Return a branch's name as one component of an image's name, another one for each branch.

    Only lower-case letters, digits and single separators may stand there (the OCI distribution
    specification's grammar of `<name>`). A name that is not of this kind keeps what is, and gets a
    part of its digest, so that `a/b` and `a-b` do not clobber each other; so does one that looks
    as if it had a digest already.

    Raises:
        UsageError: there is no name.
    """
    if not branch.strip():
        raise UsageError(f"branch: {branch!r} is no branch, like main")
    if len(branch) <= _LONGEST and _COMPONENT.fullmatch(branch) and not _DIGESTED.search(branch):
        return branch
    safe = re.sub(r"[^a-z0-9]+", "-", branch.lower())[:_LONGEST].strip("-")
    digest = hashlib.sha256(branch.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    return f"{safe}-{digest}" if safe else f"branch-{digest}"


def parse_python(text: str, place: str, known: Iterable[str] = ()) -> str:
    """Return a Python version as X.Y, or raise UsageError that names the place and the valid ones.

    Args:
        text: the version.
        place: where the text stands, for the error.
        known: the versions to choose from; any Python 3 from 3.8 on, if there are none.
    """
    versions = list(known)
    if versions and text not in versions:
        raise UsageError(f"{place}: unknown Python {text!r}: choose {listed(versions)}")
    if not _PYTHON.fullmatch(text):
        raise UsageError(f"{place}: {text!r} is no Python version: write it like 3.11")
    return text


def parse_tag(text: str, place: str) -> str:
    """Return a tag that a registry accepts, or raise UsageError that names the place."""
    if not _TAG.fullmatch(text):
        raise UsageError(
            f"{place}: {text!r} is no tag: letters, digits, '_', '.' and '-', at most 128"
        )
    return text
