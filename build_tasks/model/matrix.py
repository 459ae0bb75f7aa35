"""The build matrix, and the names of images and caches."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from build_tasks.errors import UsageError
from build_tasks.text.formatting import listed

#: The grammar of components of a name: OCI distribution specification, "Pulling manifests".
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
#: Names of Python versions.
PYTHON = re.compile(r"3\.(?:[89]|[1-9][0-9])")
#: Hexadecimal digits that path_safe adds.
_DIGEST_LENGTH = 16
_ENDS_WITH_DIGEST = re.compile(rf"-[0-9a-f]{{{_DIGEST_LENGTH}}}$")
#: Characters of a branch that path_safe keeps: a reference may have 255.
_MAX_BRANCH = 60
_ALIASES = {"x86_64": "amd64", "aarch64": "arm64"}


class ImageKind(StrEnum):
    """The images that Airflow ships."""

    CI = "ci"
    PROD = "prod"

    @property
    def dockerfile(self) -> str:
        """The name of the Dockerfile, at the project's root."""
        return "Dockerfile.ci" if self is ImageKind.CI else "Dockerfile"


class Platform(StrEnum):
    """The platforms that images are built for, as BuildKit spells them."""

    AMD64 = "linux/amd64"
    ARM64 = "linux/arm64"

    @property
    def architecture(self) -> str:
        """The architecture alone, like `amd64`, as in identities and session names."""
        return self.value.partition("/")[2]

    @classmethod
    def parse(cls, text: str, place: str) -> Self:
        """Return the platform with this name, or raise UsageError that names the place.

        Debian's and the kernel's names of the architecture are valid, too: `arm64`, `aarch64`.
        """
        architecture = text.strip().removeprefix("linux/")
        try:
            return cls(f"linux/{_ALIASES.get(architecture, architecture)}")
        except ValueError:
            raise UsageError(f"{place}: unknown platform {text!r}: choose {listed(cls)}") from None


@dataclass(frozen=True, order=True)
class Build:
    """One cell of the matrix: one image for one Python (X.Y) and one platform.

    A slim image has no extras. It has its own tags and its own cache. An image of the project's own
    has a name, and the kind of the image that it stands on.
    """

    kind: ImageKind
    python: str
    platform: Platform
    slim: bool = False
    name: str = ""

    @property
    def image_name(self) -> str:
        """What sessions, options and registries call the image: `ci`, `prod`, or its own name."""
        return self.name or self.kind.value

    @property
    def identity(self) -> str:
        """The name in sessions, logs and records: `ci-3.11-amd64`."""
        return f"{self.image_identity}-{self.platform.architecture}"

    @property
    def image_identity(self) -> str:
        """The name of the multi-platform image: `ci-3.11`."""
        slim = "-slim" if self.slim else ""
        return f"{self.image_name}{slim}-{self.python}"

    @property
    def tag(self) -> str:
        """The default tag."""
        return "slim-latest" if self.slim else "latest"


@dataclass(frozen=True)
class Names:
    """Names of images and caches in a registry (`HOST[:PORT]`) and repository, of a git branch."""

    registry: str
    repository: str
    branch: str

    def image(self, build: Build) -> str:
        """Return the image's name without a tag, as Airflow names its own."""
        branch = path_safe(self.branch)
        name = f"{build.image_name}/python{build.python}"
        return f"{self.registry}/{self.repository}/{branch}/{name}"

    def cache(self, build: Build) -> str:
        """Return the cache reference of a build.

        Each platform has its own: in a shared one, BuildKit keeps only the last platform.
        """
        return f"{self.image(build)}:cache-{_platform_tag(build)}"

    def placeholder_tag(self, build: Build) -> str:
        """Return the tag of one platform, for a builder that cannot push by digest."""
        return f"{self.image(build)}:{_platform_tag(build)}"


def _platform_tag(build: Build) -> str:
    return f"linux-{build.platform.architecture}{'-slim' if build.slim else ''}"


def path_safe(branch: str) -> str:
    """Return a branch's name as a unique component of an image name.

    A name that is not valid there is shortened to its valid characters, and gets a part of its
    digest, so that `a/b` and `a-b` do not share a cache. So does one that ends like a digest.

    Raises:
        UsageError: the name is empty.
    """
    if not branch.strip():
        raise UsageError(f"branch: expected a name like main, got {branch!r}")
    valid = len(branch) <= _MAX_BRANCH and _COMPONENT.fullmatch(branch)
    if valid and not _ENDS_WITH_DIGEST.search(branch):
        return branch
    safe = re.sub(r"[^a-z0-9]+", "-", branch.lower())[:_MAX_BRANCH].strip("-")
    digest = hashlib.sha256(branch.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    return f"{safe}-{digest}" if safe else f"branch-{digest}"


def parse_python(text: str, place: str, known: Iterable[str] = ()) -> str:
    """Return a Python version as X.Y, or raise UsageError that names the place and the valid ones.

    Without `known` versions, those of the project, any Python 3 from 3.8 on is valid.
    """
    versions = list(known)
    if versions and text not in versions:
        more = ", or add it to `pythons` in images.toml" if PYTHON.fullmatch(text) else ""
        raise UsageError(f"{place}: unknown Python {text!r}: choose {listed(versions)}{more}")
    if not PYTHON.fullmatch(text):
        raise UsageError(f"{place}: expected a Python version like 3.11, got {text!r}")
    return text
