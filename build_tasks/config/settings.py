"""The table of settings: keys, types, defaults, variables and options.

Everything else follows from the attributes of `Settings`: the key of images.toml names the
environment variable (`cache.mode`: AIRFLOW_IMAGES_CACHE_MODE) and the option (`--cache-mode`).
"""

# ruff: noqa: RUF009 - `_setting` returns a dataclass field

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from build_tasks.config import builder_tables, parsing
from build_tasks.config.parsing import Choice, Items
from build_tasks.model import builder
from build_tasks.model.builder import Builder
from build_tasks.model.cache import CacheImports, CacheMode, Compression
from build_tasks.model.cache_backends import Backend
from build_tasks.model.matrix import ImageKind, Platform

_PACKAGE = Path(__file__).resolve().parents[1]
#: The checkout; where the suite is installed from a wheel, the files that the wheel has of one.
ROOT = (
    _PACKAGE.parent
    if (_PACKAGE.parent / "images.toml").is_file()
    else _PACKAGE.parent / "airflow_images"
)
ENVIRONMENT_PREFIX = "AIRFLOW_IMAGES_"
#: The variable that names the settings file.
FILE_VARIABLE = f"{ENVIRONMENT_PREFIX}FILE"

T = TypeVar("T")


@dataclass(frozen=True)
class Field:
    """One setting.

    Args:
        key: its key in images.toml, with dots between tables.
        parse: returns the typed value of a value from TOML, a variable or an option.
        default: the typed value where it is not set.
        help: what it is for.
        metavar: the placeholder of its value in help; the last word of the key by default.
        option: whether an option sets it.
        kind: the only image that it is for; None for all.
        repeat: the option may be repeated, but takes no list in one value.
        old_option: a former name of the option.
        old_key: a former key.
        attribute: its attribute of Settings.
    """

    key: str
    parse: Callable[[Any, str], Any]
    default: Any
    help: str
    metavar: str = ""
    option: bool = True
    kind: ImageKind | None = None
    repeat: bool = False
    old_option: str = ""
    old_key: str = ""
    attribute: str = ""

    @property
    def name(self) -> str:
        """The name of its option."""
        return self.key.replace(".", "-")

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return variable(self.key)


def variable(key: str) -> str:
    """Return the environment variable that sets a key."""
    return ENVIRONMENT_PREFIX + key.upper().replace(".", "_").replace("-", "_")


def _setting(key: str, parse: Callable[[Any, str], T], default: T, help: str, **more: Any) -> T:
    """Return the attribute of a setting; its arguments are those of Field."""
    return field(metadata={"setting": Field(key, parse, default, help, **more)})  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The effective settings, and where each of them came from."""

    origins: Mapping[str, str]
    registry: str = _setting(
        "registry",
        parsing.registry,
        "",
        "registry of images and caches; empty: ghcr.io, or the embedded engine's own",
        metavar="HOST",
    )
    repository: str = _setting(
        "repository",
        parsing.repository,
        "apache/airflow",
        "path of the project in the registry",
        metavar="PATH",
    )
    branch: str = _setting("branch", parsing.text, "main", "branch that the images are built from")
    engine: str = _setting(
        "engine",
        Choice("engine", ("auto", "docker", "embedded")),
        "auto",
        "Docker engine; auto: the installed one, else the embedded one",
    )
    builder: str = _setting(
        "builder", parsing.builder_name, "default", "buildx builder", metavar="NAME"
    )
    builders: Mapping[str, Builder] = _setting(
        "builders", builder_tables.parse, MappingProxyType({}), "dedicated builders", option=False
    )
    pythons: tuple[str, ...] = _setting(
        "pythons", parsing.pythons, ("3.11",), "Python versions of the matrix", option=False
    )
    platforms: tuple[Platform, ...] = _setting(
        "platform",
        Items(Platform.parse),
        (),
        "platforms to build for; empty: the engine's own",
        old_key="platforms",
    )
    ca_bundle: str = _setting(
        "ca-bundle",
        parsing.text,
        "",
        "CA bundle for steps that use the network; empty: the embedded engine's",
        metavar="FILE",
    )
    cache_mode: CacheMode = _setting(
        "cache.mode",
        Choice("cache mode", tuple(CacheMode)),
        CacheMode.REGISTRY,
        "caches to use",
        old_option="cache",
    )
    cache_branch: str = _setting(
        "cache.branch",
        parsing.text,
        "",
        "branch whose cache is written; empty: the CI's, else git's, else none",
    )
    cache_base: str = _setting(
        "cache.base",
        parsing.text,
        "",
        "branch whose cache is read next; empty: the target branch of the pull request",
        metavar="BRANCH",
    )
    cache_imports: CacheImports = _setting(
        "cache.imports",
        Choice("cache imports", tuple(CacheImports)),
        CacheImports.ALL,
        "branches whose caches are read; main is the setting `branch`",
    )
    cache_from: tuple[Backend, ...] = _setting(
        "cache.from",
        parsing.cache_sources,
        (),
        "further cache to read, in buildx's syntax; may be repeated",
        metavar="CACHE",
        repeat=True,
    )
    cache_to: Backend | None = _setting(
        "cache.to",
        parsing.cache_target,
        None,
        "other cache to write, in buildx's syntax",
        metavar="CACHE",
    )
    output_compression: Compression = _setting(
        "output.compression",
        Choice("compression", tuple(Compression)),
        Compression.ZSTD,
        "compression of pushed layers; gzip is for old consumers",
        old_option="compression",
    )
    trusted: bool = _setting(
        "trusted",
        parsing.boolean,
        True,
        "whether runs may write caches and images; only its variable trusts unknown CI events",
        option=False,
    )
    context_untracked: tuple[str, ...] = _setting(
        "context.untracked",
        Items(parsing.pattern),
        (),
        "untracked files that enter the build context, like sources/**",
        metavar="PATTERN",
        old_option="untracked",
    )
    context_ignored: tuple[str, ...] = _setting(
        "context.ignored",
        Items(parsing.pattern),
        (),
        "git-ignored files that enter it, like airflow-core/src/airflow/ui/dist/**",
        metavar="PATTERN",
        old_option="ignored",
    )
    base_image: str = _setting(
        "base.image",
        parsing.image_template,
        "python:{python}-slim-bookworm",
        "upstream base image, always pulled; {python} is the version",
    )
    airflow_version: str = _setting(
        "airflow.version", parsing.version, "3.3.2", "release of Airflow", option=False
    )
    airflow_versions: Mapping[str, str] = _setting(
        "airflow.versions",
        parsing.versions,
        MappingProxyType({}),
        "release of Airflow for some Python versions",
        option=False,
    )
    airflow_from: str = _setting(
        "airflow.from",
        parsing.text,
        "release",
        "what PROD installs: release, wheels (those in docker-context-files/), a folder of "
        "Airflow's sources, or git+URL@REF",
        metavar="SOURCE",
        kind=ImageKind.PROD,
    )
    airflow_extras: tuple[str, ...] = _setting(
        "airflow.extras",
        parsing.extras,
        (),
        "extras of apache-airflow",
        metavar="EXTRA",
        old_option="extras",
    )
    constraints_mode: str = _setting(
        "constraints.mode",
        Choice("constraints mode", parsing.CONSTRAINTS_MODES),
        "constraints",
        "constraint file that PROD follows",
        kind=ImageKind.PROD,
    )
    constraints_limits: tuple[str, ...] = _setting(
        "constraints.limits",
        parsing.requirements,
        (),
        "bounds that a release needs and does not declare, like paramiko<4",
        option=False,
    )
    constraints_location: str = _setting(
        "constraints.location",
        parsing.text,
        "",
        "constraint file or URL that PROD follows instead; {python} is the version",
        kind=ImageKind.PROD,
    )
    dependencies_python: tuple[str, ...] = _setting(
        "dependencies.python",
        parsing.requirements,
        (),
        "additional Python packages",
        metavar="REQUIREMENT",
        old_option="python-deps",
    )
    dependencies_apt_dev: tuple[str, ...] = _setting(
        "dependencies.apt-dev",
        parsing.apt_packages,
        (),
        "additional Debian packages of the CI image and of PROD's build stage",
        metavar="PACKAGE",
        old_option="dev-apt-deps",
    )
    dependencies_apt_runtime: tuple[str, ...] = _setting(
        "dependencies.apt-runtime",
        parsing.apt_packages,
        (),
        "additional Debian packages of the PROD image",
        metavar="PACKAGE",
        kind=ImageKind.PROD,
        old_option="runtime-apt-deps",
    )
    ci_test_packages: tuple[str, ...] = _setting(
        "ci.test-packages", parsing.requirements, (), "test tools of the CI image", option=False
    )
    ci_budget: int = _setting(
        "ci.budget", parsing.megabytes, 0, "largest size of the CI image in MB", option=False
    )
    prod_slim: bool = _setting(
        "prod.slim",
        parsing.boolean,
        False,
        "PROD without extras and database clients",
        kind=ImageKind.PROD,
        old_option="slim",
    )
    prod_clients: tuple[str, ...] = _setting(
        "prod.clients",
        parsing.clients,
        (),
        "database clients of the PROD image",
        kind=ImageKind.PROD,
        old_option="clients",
    )
    prod_budget: int = _setting(
        "prod.budget", parsing.megabytes, 0, "largest size of the PROD image in MB", option=False
    )
    prod_slim_budget: int = _setting(
        "prod.slim-budget", parsing.megabytes, 0, "the same of the slim one", option=False
    )
    uv_version: str = _setting(
        "uv.version", parsing.version, "0.9.18", "uv that installs in the images", option=False
    )
    pip_version: str = _setting(
        "pip.version", parsing.version, "25.3", "pip in the PROD image", option=False
    )
    sbom_scanner: str = _setting(
        "sbom.scanner",
        parsing.image_template,
        "docker/buildkit-syft-scanner:stable-1",
        "image that generates the SBOM for --sbom",
        metavar="IMAGE",
    )

    def builder_named(self, name: str) -> Builder:
        """Return the desired state of a dedicated builder."""
        return self.builders.get(name) or builder.default_builder(name)

    def airflow_for(self, python: str) -> str:
        """Return the release of Airflow for a Python version."""
        return self.airflow_versions.get(python, self.airflow_version)


FIELDS: tuple[Field, ...] = tuple(
    replace(attribute.metadata["setting"], attribute=attribute.name)
    for attribute in fields(Settings)
    if "setting" in attribute.metadata
)
