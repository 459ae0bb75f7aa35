"""The table of settings: types, defaults, keys, variables and options.

Everything follows from the attributes of `Settings`: `cache_mode` is the key `cache.mode` of
images.toml, the environment variable AIRFLOW_IMAGES_CACHE_MODE and the option `--cache-mode`.
"""

# ruff: noqa: RUF009 - `_setting` returns a dataclass field

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
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
#: The tables of images.toml.
TABLES = frozenset(
    (
        *("airflow", "base", "cache", "ci", "constraints", "context", "dependencies"),
        *("output", "pip", "prod", "sbom", "uv"),
    )
)
#: Former keys, which work with a note.
FORMER_KEYS: Mapping[str, str] = MappingProxyType({"platforms": "platform"})

T = TypeVar("T")


@dataclass(frozen=True)
class Field:
    """One setting.

    Args:
        parse: returns the typed value of a value from TOML, a variable or an option.
        default: the typed value where it is not set.
        help: what its option is for; without it, no option sets it.
        metavar: the placeholder of its value in help; the last word of the name by default.
        kind: the only image that it is for; None for all.
        repeat: the option may be repeated, but takes no list in one value.
        attribute: its attribute of Settings.
    """

    parse: Callable[[Any, str], Any]
    default: Any
    help: str = ""
    metavar: str = ""
    kind: ImageKind | None = None
    repeat: bool = False
    attribute: str = ""

    @property
    def key(self) -> str:
        """Its key in images.toml, with a dot after the table."""
        table, _, name = self.attribute.partition("_")
        key = f"{table}.{name}" if table in TABLES else self.attribute
        return FORMER_KEYS.get(key, key).replace("_", "-")

    @property
    def name(self) -> str:
        """The name of its option."""
        return self.key.replace(".", "-")

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return ENVIRONMENT_PREFIX + self.name.upper().replace("-", "_")


def _setting(parse: Callable[[Any, str], T], default: T, *arguments: Any, **named: Any) -> T:
    """Return the attribute of a setting; the arguments are those of Field."""
    metadata = {"field": partial(Field, parse, default, *arguments, **named)}
    return field(metadata=metadata)  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The effective settings, and where each of them came from."""

    origins: Mapping[str, str]
    registry: str = _setting(
        parsing.registry, "", "registry (default: ghcr.io, or the embedded engine's)", "HOST"
    )
    repository: str = _setting(
        parsing.repository, "apache/airflow", "path of the project in the registry", "PATH"
    )
    branch: str = _setting(parsing.text, "main", "branch that the images are built from")
    engine: str = _setting(
        Choice("engine", ("auto", "docker", "embedded")),
        "auto",
        "Docker engine; auto: the installed one, else the embedded one",
    )
    builder: str = _setting(parsing.builder_name, "default", "buildx builder", "NAME")
    builders: Mapping[str, Builder] = _setting(builder_tables.parse, MappingProxyType({}))
    pythons: tuple[str, ...] = _setting(parsing.pythons, ("3.11",))
    platforms: tuple[Platform, ...] = _setting(
        Items(Platform.parse), (), "platforms to build for (default: the engine's own)"
    )
    ca_bundle: str = _setting(
        parsing.text, "", "CA bundle for steps (default: the embedded engine's)", "FILE"
    )
    cache_mode: CacheMode = _setting(
        Choice("cache mode", tuple(CacheMode)), CacheMode.REGISTRY, "caches to use"
    )
    cache_branch: str = _setting(
        parsing.text, "", "branch whose cache is written (default: the CI's, else git's, else none)"
    )
    cache_base: str = _setting(
        parsing.text, "", "branch whose cache is read next (default: the pull request's target)"
    )
    cache_imports: CacheImports = _setting(
        Choice("cache imports", tuple(CacheImports)),
        CacheImports.ALL,
        "branches whose caches are read; main is the setting `branch`",
    )
    cache_from: tuple[Backend, ...] = _setting(
        parsing.cache_sources, (), "more caches to read, in buildx's syntax", "CACHE", repeat=True
    )
    cache_to: Backend | None = _setting(
        parsing.cache_target, None, "other cache to write, in buildx's syntax", "CACHE"
    )
    output_compression: Compression = _setting(
        Choice("compression", tuple(Compression)), Compression.ZSTD, "compression of pushed layers"
    )
    #: Whether runs may write caches and images; only its variable trusts unknown CI events.
    trusted: bool = _setting(parsing.boolean, default=True)
    context_untracked: tuple[str, ...] = _setting(
        Items(parsing.pattern), (), "untracked files in the context, like sources/**", "PATTERN"
    )
    context_ignored: tuple[str, ...] = _setting(
        Items(parsing.pattern),
        (),
        "git-ignored files in the context, like **/ui/dist/**",
        "PATTERN",
    )
    base_image: str = _setting(
        parsing.image_template, "python:{python}-slim-bookworm", "upstream image, always pulled"
    )
    airflow_version: str = _setting(parsing.version, "3.3.2")
    #: The release of Airflow for some Python versions.
    airflow_versions: Mapping[str, str] = _setting(parsing.versions, MappingProxyType({}))
    airflow_from: str = _setting(
        parsing.text,
        "release",
        "what PROD installs: release, wheels (those in docker-context-files/), a folder of "
        "Airflow's sources, or git+URL@REF",
        "SOURCE",
        ImageKind.PROD,
    )
    airflow_extras: tuple[str, ...] = _setting(
        parsing.extras, (), "extras of apache-airflow", "EXTRA"
    )
    constraints_mode: str = _setting(
        parsing.constraints_mode,
        "constraints",
        "constraint file that PROD follows",
        kind=ImageKind.PROD,
    )
    #: Bounds that a release needs and does not declare, like `paramiko<4`.
    constraints_limits: tuple[str, ...] = _setting(parsing.requirements, ())
    constraints_location: str = _setting(
        parsing.text,
        "",
        "constraint file or URL that PROD follows instead; {python} is the version",
        kind=ImageKind.PROD,
    )
    dependencies_python: tuple[str, ...] = _setting(
        parsing.requirements, (), "additional Python packages", "REQUIREMENT"
    )
    dependencies_apt_dev: tuple[str, ...] = _setting(
        parsing.apt_packages, (), "more Debian packages of CI and PROD's build stage", "PACKAGE"
    )
    dependencies_apt_runtime: tuple[str, ...] = _setting(
        parsing.apt_packages, (), "more Debian packages of PROD", "PACKAGE", ImageKind.PROD
    )
    ci_test_packages: tuple[str, ...] = _setting(parsing.requirements, ())
    #: The largest sizes of images in MB.
    ci_budget: int = _setting(parsing.megabytes, 0)
    prod_budget: int = _setting(parsing.megabytes, 0)
    prod_slim_budget: int = _setting(parsing.megabytes, 0)
    prod_slim: bool = _setting(
        parsing.boolean, False, "PROD without extras and clients", kind=ImageKind.PROD
    )
    prod_clients: tuple[str, ...] = _setting(
        parsing.clients, (), "database clients of the PROD image", kind=ImageKind.PROD
    )
    #: uv and pip of the images.
    uv_version: str = _setting(parsing.version, "0.9.18")
    pip_version: str = _setting(parsing.version, "25.3")
    sbom_scanner: str = _setting(
        parsing.image_template, "docker/buildkit-syft-scanner:stable-1", "image that makes SBOMs"
    )

    def builder_named(self, name: str) -> Builder:
        """Return the desired state of a dedicated builder."""
        return self.builders.get(name) or builder.default_builder(name)

    def airflow_for(self, python: str) -> str:
        """Return the release of Airflow for a Python version."""
        return self.airflow_versions.get(python, self.airflow_version)


FIELDS: tuple[Field, ...] = tuple(
    item.metadata["field"](attribute=item.name) for item in fields(Settings) if item.metadata
)
