"""The only list of what can be set: where it stands, what it may be, and what it is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from build_tasks.config import builder_tables, parsing
from build_tasks.model.cache import CacheImports, CacheMode, Compression
from build_tasks.model.matrix import ImageKind
from build_tasks.text.formatting import listed

ENVIRONMENT_PREFIX = "AIRFLOW_IMAGES_"
#: What follows the prefix in variables that set no key of this table; tests have their own.
OTHER_VARIABLES = ("CACHE", "ENGINE_RELEASE", "FILE")
TEST_VARIABLES = f"{ENVIRONMENT_PREFIX}TESTS_"


@dataclass(frozen=True)
class Field:
    """One thing that can be set.

    Args:
        key: its place in images.toml, with dots between tables.
        parse: checks a value of TOML's types and makes it the one that Settings holds.
        default: what holds when nobody sets it.
        help: what it is for.
        option: the option that sets it, if one does.
        kind: the only image that it is for; all of them if there is none.
        several: whether the option may be given several times.
    """

    key: str
    parse: Callable[[Any, str], Any]
    default: Any
    help: str
    option: str = ""
    kind: ImageKind | None = None
    several: bool = False

    @property
    def flag(self) -> bool:
        """Whether the option takes no value."""
        return self.default is False

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return ENVIRONMENT_PREFIX + self.key.upper().replace(".", "_").replace("-", "_")

    @property
    def attribute(self) -> str:
        """Its name in Settings."""
        return self.key.replace(".", "_").replace("-", "_")


FIELDS: tuple[Field, ...] = (
    Field(
        "registry",
        parsing.registry,
        "",
        "registry of images and caches; empty: ghcr.io, on the embedded engine its own",
        option="registry",
    ),
    Field(
        "repository",
        parsing.repository,
        "apache/airflow",
        "path of the project in the registry",
        option="repository",
    ),
    Field("branch", parsing.text, "main", "branch whose images these are", option="branch"),
    Field("engine", parsing.engine, "auto", "auto, docker or embedded", option="engine"),
    Field("builder", parsing.name, "default", "BuildKit builder that builds", option="builder"),
    Field("builders", builder_tables.parse, MappingProxyType({}), "dedicated builders, by name"),
    Field("pythons", parsing.pythons, ("3.11",), "Python versions of the matrix"),
    Field(
        "platforms",
        parsing.platforms,
        (),
        "platforms to build for; empty: the engine's own",
        option="platform",
    ),
    Field(
        "ca-bundle",
        parsing.text,
        "",
        "CA bundle for steps that use the network; empty: the embedded engine's",
        option="ca-bundle",
    ),
    Field(
        "cache.mode",
        parsing.cache_mode,
        CacheMode.REGISTRY,
        "registry, local or disabled",
        option="cache",
    ),
    Field(
        "cache.branch",
        parsing.text,
        "",
        "branch whose cache is written; empty: the CI's, else git's, else none",
        option="cache-branch",
    ),
    Field(
        "cache.base",
        parsing.text,
        "",
        "branch whose cache is read next; empty: the one that the CI says a pull request is for",
        option="cache-base",
    ),
    Field(
        "cache.imports",
        parsing.cache_imports,
        CacheImports.ALL,
        f"branches whose cache is read, {listed(CacheImports)}: `main` is that of `branch`",
        option="cache-imports",
    ),
    Field(
        "cache.from",
        parsing.cache_sources,
        (),
        "other places to read caches from, as buildx takes them",
        option="cache-from",
        several=True,
    ),
    Field(
        "cache.to",
        parsing.cache_target,
        None,
        "other place to write the cache to, as buildx takes it",
        option="cache-to",
    ),
    Field(
        "output.compression",
        parsing.compression,
        Compression.ZSTD,
        "of layers that are pushed: zstd, or gzip for old consumers",
        option="compression",
    ),
    Field(
        "trusted",
        parsing.boolean,
        True,
        "whether runs may write caches and images; only its variable gives trust to unknown ones",
    ),
    Field(
        "context.untracked",
        parsing.patterns,
        (),
        "files that git does not track and that enter nevertheless, like sources/**",
        option="untracked",
    ),
    Field(
        "context.ignored",
        parsing.patterns,
        (),
        "the same of files that git ignores, like airflow-core/src/airflow/ui/dist/**",
        option="ignored",
    ),
    Field(
        "base.image",
        parsing.template,
        "python:{python}-slim-bookworm",
        "upstream base image, always resolved; {python} is the version",
        option="base-image",
    ),
    Field("airflow.version", parsing.version, "3.3.2", "release of Airflow"),
    Field(
        "airflow.versions",
        parsing.versions,
        MappingProxyType({}),
        "release of Airflow where a Python needs another",
    ),
    Field(
        "airflow.from",
        parsing.text,
        "release",
        "what PROD installs: release, wheels (those in docker-context-files/), a folder of "
        "Airflow's sources, or git+URL@REF",
        option="airflow-from",
        kind=ImageKind.PROD,
    ),
    Field("airflow.extras", parsing.extras, (), "extras of apache-airflow", option="extras"),
    Field(
        "constraints.mode",
        parsing.constraints_mode,
        "constraints",
        f"file of versions that PROD follows: {listed(parsing.CONSTRAINTS_MODES)}",
        option="constraints-mode",
        kind=ImageKind.PROD,
    ),
    Field(
        "constraints.limits",
        parsing.requirements,
        (),
        "bounds of resolved versions that a release needs and does not say, like paramiko<4",
    ),
    Field(
        "constraints.location",
        parsing.text,
        "",
        "own file or URL of versions that PROD follows instead; {python} is the version",
        option="constraints-location",
        kind=ImageKind.PROD,
    ),
    Field(
        "dependencies.python",
        parsing.requirements,
        (),
        "additional Python packages",
        option="python-deps",
    ),
    Field(
        "dependencies.apt-dev",
        parsing.apt_packages,
        (),
        "additional Debian packages of the CI image and of PROD's build segment",
        option="dev-apt-deps",
    ),
    Field(
        "dependencies.apt-runtime",
        parsing.apt_packages,
        (),
        "additional Debian packages of the PROD image",
        option="runtime-apt-deps",
        kind=ImageKind.PROD,
    ),
    Field("ci.test-packages", parsing.requirements, (), "test toolchain of the CI image"),
    Field("ci.budget", parsing.megabytes, 0, "size in MB that verifying the CI image allows"),
    Field(
        "prod.slim",
        parsing.boolean,
        False,
        "PROD without extras and database clients",
        option="slim",
        kind=ImageKind.PROD,
    ),
    Field(
        "prod.clients",
        parsing.clients,
        (),
        f"database clients of the PROD image: {listed(parsing.CLIENTS)}",
        option="clients",
        kind=ImageKind.PROD,
    ),
    Field("prod.budget", parsing.megabytes, 0, "size in MB that verifying the PROD image allows"),
    Field("prod.slim-budget", parsing.megabytes, 0, "the same of the slim one"),
    Field("uv.version", parsing.version, "0.9.18", "uv that installs in the images"),
    Field("pip.version", parsing.version, "25.3", "pip in the PROD image, for those who extend it"),
    Field(
        "sbom.scanner",
        parsing.template,
        "docker/buildkit-syft-scanner:stable-1",
        "image that lists an image's contents for --sbom",
        option="sbom-scanner",
    ),
)
