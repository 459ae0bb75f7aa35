"""images.toml, the environment and options become one frozen Settings.

Options beat the environment, which beats the file, which beats the defaults. Whatever is wrong is
said with the place that it stands in. The table FIELDS is the only list of what can be set.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from build_tasks import definition, fleet, values
from build_tasks.cache import CacheImports, CacheMode, Compression
from build_tasks.cache.backends import Backend
from build_tasks.errors import UsageError
from build_tasks.fleet import Builder
from build_tasks.matrix import ImageKind, Platform, listed

_PACKAGE = Path(__file__).resolve().parent
#: The checkout; where the suite was installed from a wheel, what that carries of one.
ROOT = (
    _PACKAGE.parent
    if (_PACKAGE.parent / "images.toml").is_file()
    else _PACKAGE.parent / "airflow_images"
)
ENVIRONMENT_PREFIX = "AIRFLOW_IMAGES_"
FILE_VARIABLE = f"{ENVIRONMENT_PREFIX}FILE"


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
        values.registry,
        "",
        "registry of images and caches; empty: ghcr.io, on the embedded engine its own",
        option="registry",
    ),
    Field(
        "repository",
        values.repository,
        "apache/airflow",
        "path of the project in the registry",
        option="repository",
    ),
    Field("branch", values.text, "main", "branch whose images these are", option="branch"),
    Field("engine", values.engine, "auto", "auto, docker or embedded", option="engine"),
    Field("builder", values.name, "default", "BuildKit builder that builds", option="builder"),
    Field("builders", definition.parse, MappingProxyType({}), "dedicated builders, by name"),
    Field("pythons", values.pythons, ("3.11",), "Python versions of the matrix"),
    Field(
        "platforms",
        values.platforms,
        (),
        "platforms to build for; empty: the engine's own",
        option="platform",
    ),
    Field(
        "ca-bundle",
        values.text,
        "",
        "CA bundle for steps that use the network; empty: the embedded engine's",
        option="ca-bundle",
    ),
    Field(
        "cache.mode",
        values.cache_mode,
        CacheMode.REGISTRY,
        "registry, local or disabled",
        option="cache",
    ),
    Field(
        "cache.branch",
        values.text,
        "",
        "branch whose cache is written; empty: the CI's, else git's, else `branch`",
        option="cache-branch",
    ),
    Field(
        "cache.base",
        values.text,
        "",
        "branch whose cache is read next; empty: the one that the CI says a pull request is for",
        option="cache-base",
    ),
    Field(
        "cache.imports",
        values.cache_imports,
        CacheImports.ALL,
        f"branches whose cache is read, {listed(CacheImports)}: `main` is that of `branch`",
        option="cache-imports",
    ),
    Field(
        "cache.from",
        values.cache_sources,
        (),
        "other places to read caches from, as buildx takes them",
        option="cache-from",
        several=True,
    ),
    Field(
        "cache.to",
        values.cache_target,
        None,
        "other place to write the cache to, as buildx takes it",
        option="cache-to",
    ),
    Field(
        "output.compression",
        values.compression,
        Compression.ZSTD,
        "of layers that are pushed: zstd, or gzip for old consumers",
        option="compression",
    ),
    Field("trusted", values.boolean, True, "whether runs may write caches and images"),
    Field(
        "context.untracked",
        values.patterns,
        (),
        "files that git does not track and that enter nevertheless, like sources/**",
        option="untracked",
    ),
    Field(
        "context.ignored",
        values.patterns,
        (),
        "the same of files that git ignores, like airflow-core/src/airflow/ui/dist/**",
        option="ignored",
    ),
    Field(
        "base.image",
        values.template,
        "python:{python}-slim-bookworm",
        "upstream base image, always resolved; {python} is the version",
        option="base-image",
    ),
    Field("airflow.version", values.version, "3.3.2", "release of Airflow"),
    Field(
        "airflow.versions",
        values.versions,
        MappingProxyType({}),
        "release of Airflow where a Python needs another",
    ),
    Field(
        "airflow.from",
        values.text,
        "release",
        "what PROD installs: release, wheels (those in docker-context-files/), a folder of "
        "Airflow's sources, or git+URL@REF",
        option="airflow-from",
        kind=ImageKind.PROD,
    ),
    Field("airflow.extras", values.extras, (), "extras of apache-airflow", option="extras"),
    Field(
        "constraints.mode",
        values.constraints_mode,
        "constraints",
        f"file of versions that PROD follows: {listed(values.CONSTRAINTS_MODES)}",
        option="constraints-mode",
        kind=ImageKind.PROD,
    ),
    Field(
        "constraints.limits",
        values.requirements,
        (),
        "bounds of resolved versions that a release needs and does not say, like paramiko<4",
    ),
    Field(
        "constraints.location",
        values.text,
        "",
        "own file or URL of versions that PROD follows instead; {python} is the version",
        option="constraints-location",
        kind=ImageKind.PROD,
    ),
    Field(
        "dependencies.python",
        values.requirements,
        (),
        "additional Python packages",
        option="python-deps",
    ),
    Field(
        "dependencies.apt-dev",
        values.apt_packages,
        (),
        "additional Debian packages of the CI image and of PROD's build segment",
        option="dev-apt-deps",
    ),
    Field(
        "dependencies.apt-runtime",
        values.apt_packages,
        (),
        "additional Debian packages of the PROD image",
        option="runtime-apt-deps",
        kind=ImageKind.PROD,
    ),
    Field("ci.test-packages", values.requirements, (), "test toolchain of the CI image"),
    Field("ci.budget", values.megabytes, 0, "size in MB that verifying the CI image allows"),
    Field(
        "prod.slim",
        values.boolean,
        False,
        "PROD without extras and database clients",
        option="slim",
        kind=ImageKind.PROD,
    ),
    Field(
        "prod.clients",
        values.clients,
        (),
        f"database clients of the PROD image: {listed(values.CLIENTS)}",
        option="clients",
        kind=ImageKind.PROD,
    ),
    Field("prod.budget", values.megabytes, 0, "size in MB that verifying the PROD image allows"),
    Field("prod.slim-budget", values.megabytes, 0, "the same of the slim one"),
    Field("uv.version", values.version, "0.9.18", "uv that installs in the images"),
    Field("pip.version", values.version, "25.3", "pip in the PROD image, for those who extend it"),
    Field(
        "sbom.scanner",
        values.template,
        "docker/buildkit-syft-scanner:stable-1",
        "image that lists an image's contents for --sbom",
        option="sbom-scanner",
    ),
)


@dataclass(frozen=True)
class Settings:
    """What was set, parsed; one attribute for each of FIELDS, and where each came from."""

    registry: str
    repository: str
    branch: str
    engine: str
    builder: str
    builders: Mapping[str, Builder]
    pythons: tuple[str, ...]
    platforms: tuple[Platform, ...]
    ca_bundle: str
    cache_mode: CacheMode
    cache_branch: str
    cache_base: str
    cache_imports: CacheImports
    cache_from: tuple[Backend, ...]
    cache_to: Backend | None
    output_compression: Compression
    trusted: bool
    context_untracked: tuple[str, ...]
    context_ignored: tuple[str, ...]
    base_image: str
    airflow_version: str
    airflow_versions: Mapping[str, str]
    airflow_from: str
    airflow_extras: tuple[str, ...]
    constraints_mode: str
    constraints_limits: tuple[str, ...]
    constraints_location: str
    dependencies_python: tuple[str, ...]
    dependencies_apt_dev: tuple[str, ...]
    dependencies_apt_runtime: tuple[str, ...]
    ci_test_packages: tuple[str, ...]
    ci_budget: int
    prod_slim: bool
    prod_clients: tuple[str, ...]
    prod_budget: int
    prod_slim_budget: int
    uv_version: str
    pip_version: str
    sbom_scanner: str
    origins: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def builder_named(self, name: str) -> Builder:
        """Return a dedicated builder as it is wanted: as defined, or one in a container."""
        return self.builders.get(name) or fleet.plain(name)

    def airflow_for(self, python: str) -> str:
        """Return the release of Airflow that images with this Python hold."""
        return self.airflow_versions.get(python, self.airflow_version)


def load(
    options: Mapping[str, object] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """Return the effective settings.

    Args:
        options: values by option, as the front ends got them.
        environment: variables; this process's own by default.
        file: the settings file; by default the one that AIRFLOW_IMAGES_FILE names, or the
            project's images.toml.

    Raises:
        UsageError: a key or value is wrong; the message names the place and the valid ones.
    """
    given = environment if environment is not None else os.environ
    path = file or Path(given.get(FILE_VARIABLE) or ROOT / "images.toml")
    from_file = _flat(_read(path), path.name)
    result: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for item in FIELDS:
        value, origin = _find(item, options or {}, given, from_file, path.name)
        result[item.attribute] = item.parse(value, origin) if origin != "default" else value
        origins[item.key] = origin
    return Settings(**result, origins=MappingProxyType(origins))


def rows(settings: Settings) -> list[tuple[str, object, str]]:
    """Return key, value and origin of each setting, in the order of FIELDS."""
    result: list[tuple[str, object, str]] = []
    for item in FIELDS:
        value = getattr(settings, item.attribute)
        if item.key == "builders" and value:
            result += fleet.rows(settings.builders)
        else:
            result.append((item.key, value, settings.origins[item.key]))
    return result


def _find(
    item: Field,
    options: Mapping[str, object],
    environment: Mapping[str, str],
    from_file: Mapping[str, object],
    file_name: str,
) -> tuple[object, str]:
    given = options.get(item.option) if item.option else None
    if given is not None and given is not False and given != []:  # as much as not given
        return options[item.option], f"--{item.option}"
    if item.variable in environment:
        return environment[item.variable], item.variable
    if item.key in from_file:
        return from_file[item.key], f"{file_name}: {item.key}"
    return item.default, "default"


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name}: {error}") from None


def _flat(tables: Mapping[str, Any], file_name: str) -> dict[str, object]:
    """Return the file's values by dotted key, and refuse what FIELDS does not name."""
    known = {item.key for item in FIELDS}
    sections = {key.partition(".")[0] for key in known if "." in key}
    flat: dict[str, object] = {}
    for name, value in tables.items():
        if name in sections:
            if not isinstance(value, dict):
                raise UsageError(f"{file_name}: {name}: must be a table [{name}], not {value!r}")
            flat.update({f"{name}.{key}": inner for key, inner in value.items()})
        else:
            flat[name] = value
    for key in flat:
        if key not in known:
            section = key.partition(".")[0] if key.partition(".")[0] in sections else ""
            near = [item for item in known if not section or item.startswith(f"{section}.")]
            raise UsageError(f"{file_name}: unknown key {key!r}: choose {listed(sorted(near))}")
    return flat


# The table and the class say the same thing; a difference must not wait for a user.
assert [item.attribute for item in FIELDS] == [f.name for f in fields(Settings)][:-1]  # noqa: S101
