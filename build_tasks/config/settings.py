"""The table of settings: types, defaults, keys, variables and options.

Everything follows from the attributes of `Settings`: `cache_mode` is the key `cache.mode` of
images.toml, the environment variable AIRFLOW_IMAGES_CACHE_MODE and the option `--cache-mode`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from build_tasks import paths
from build_tasks.config import builder_tables, image_tables, parsing
from build_tasks.config.parsing import Choice, Items, Matching
from build_tasks.config.project import Project
from build_tasks.errors import UsageError
from build_tasks.model import builder, labels
from build_tasks.model.builder import Builder
from build_tasks.model.cache import CacheImports, CacheMode, Compression
from build_tasks.model.matrix import ImageKind, Platform

ENVIRONMENT_PREFIX = "AIRFLOW_IMAGES_"
#: The tables of images.toml.
TABLES = frozenset(
    (
        *("airflow", "apt", "base", "build", "cache", "ci", "constraints", "context"),
        *("dependencies", "index", "output", "pip", "prod", "reuse", "sbom", "uv"),
    )
)
#: Former keys, which work with a note.
FORMER_KEYS: Mapping[str, str] = {"platforms": "platform"}
#: Former keys that were true or false: the present key, and its values in their place. Their
#: variables and options work, too.
FORMER_SWITCHES: Mapping[str, tuple[str, str, str]] = {
    "prod.slim": ("prod.profile", "slim", "official")
}
#: Variables of uv that set a key where no key of the table [index] is set; the first one counts.
UV_VARIABLES: Mapping[str, str] = {
    "UV_DEFAULT_INDEX": "index.default",
    "UV_INDEX_URL": "index.default",
    "UV_INDEX": "index.extra",
    "UV_EXTRA_INDEX_URL": "index.extra",
}

T = TypeVar("T")


@dataclass(eq=False)
class Field(Generic[T]):
    """One setting.

    Args:
        parse: returns the typed value of a value from TOML, a variable or an option.
        default: the value where it is not set, as in TOML.
        help: what its option is for; without it, no option sets it.
        metavar: the placeholder of its value in help; by default the valid values of a choice, else
            the last word of the name.
        kind: the only image that it is for; None for all.
        repeat: the option may be repeated, but takes no list in one value.
        description: what it is, where it has no help.
    """

    parse: Callable[[Any, str], T]
    default: object
    help: str = ""
    metavar: str = ""
    kind: ImageKind | None = None
    repeat: bool = False
    description: str = ""

    def __set_name__(self, _owner: object, attribute: str) -> None:
        table, _, name = attribute.partition("_")
        key = f"{table}.{name}" if table in TABLES else attribute
        # Its key in images.toml, with a dot after the table.
        self.key = FORMER_KEYS.get(key, key).replace("_", "-")
        # The name of its option.
        self.name = self.key.replace(".", "-")
        # The environment variable that sets it.
        self.variable = ENVIRONMENT_PREFIX + self.name.upper().replace("-", "_")

    def __get__(self, settings: Settings, _owner: object) -> T:
        value: T = settings.values[self.key]
        return value


class Settings:
    """The effective settings, and where each of them came from; both by key."""

    __slots__ = ("origins", "project", "values")

    def __init__(
        self, values: Mapping[str, Any], origins: Mapping[str, str], project: Project
    ) -> None:
        self.values = values
        self.origins = origins
        self.project = project

    def replace(self, values: Mapping[str, Any]) -> Settings:
        """Return the settings with other values of some keys."""
        return Settings({**self.values, **values}, self.origins, self.project)

    def path(self, key: str, text: str) -> Path:
        """Return the path that a setting names.

        In images.toml, a relative path starts at the project's root; in an option or a variable, at
        the current folder.
        """
        path = paths.expand_user(text)
        in_file = self.origins[key].startswith(f"{self.project.file.name}:")
        return self.project.root / path if in_file else path.absolute()

    registry = Field(
        parsing.registry, "", "registry (default: ghcr.io, or the embedded engine's)", "HOST"
    )
    repository = Field(parsing.repository, "apache/airflow", "path in the registry", "PATH")
    branch = Field(parsing.text, "main", "branch that the images are built from")
    engine = Field(
        Choice("engine", ("auto", "docker", "embedded")),
        "auto",
        "Docker engine; auto: the installed one, else the embedded one",
    )
    builder = Field(parsing.builder_name, "default", "buildx builder", "NAME")
    builders = Field(builder_tables.parse, {}, description="dedicated builders by name")
    images = Field(image_tables.parse, {}, description="images of the project's own by name")
    pythons = Field(
        parsing.pythons, ["3.11"], description="Python versions that images are built for"
    )
    platforms = Field(
        Items(Platform.parse), [], "platforms to build for (default: the engine's own)"
    )
    ca_bundle = Field(
        parsing.text,
        "",
        "CA bundle for steps (default: SSL_CERT_FILE, or the embedded engine's)",
        "FILE",
    )
    http_proxy = Field(parsing.proxy, "", "HTTP proxy of steps", "URL")
    https_proxy = Field(parsing.proxy, "", "HTTPS proxy of steps", "URL")
    no_proxy = Field(
        Items(Matching(r"[^\s,@]+", "a host, a domain or a network")),
        [],
        "hosts that steps reach without the proxies",
        "HOST",
    )
    build_arguments = Field(
        parsing.arguments,
        {},
        "build arguments of the project's own Dockerfiles",
        "NAME=VALUE",
        repeat=True,
    )
    build_secrets = Field(
        parsing.secrets,
        {},
        "secrets of steps, like token=env:NAME or netrc=file:PATH",
        "ID=PLACE",
        repeat=True,
    )
    build_ssh = Field(
        Items(parsing.ssh_agent), [], "SSH agents or keys of steps: default, or ID=PATH", "AGENT"
    )
    cache_mode = Field(Choice("cache mode", tuple(CacheMode)), "registry", "caches to use")
    cache_branch = Field(
        parsing.text, "", "branch whose cache is written (default: the CI's, else git's, else none)"
    )
    cache_base = Field(
        parsing.text, "", "branch whose cache is also read (default: the pull request's base)"
    )
    cache_imports = Field(
        Choice("cache imports", tuple(CacheImports)),
        "all",
        "branches whose caches are read; main: only that of --branch",
    )
    cache_from = Field(
        parsing.cache_sources,
        [],
        "caches to read instead, in buildx's syntax",
        "CACHE",
        repeat=True,
    )
    cache_to = Field(
        parsing.cache_target, "", "cache to write instead, in buildx's syntax", "CACHE"
    )
    reuse_from = Field(
        Choice("images to reuse", ("none", "main", "all")),
        "none",
        "branches whose image is taken where a build would make the same: none, main (--branch), "
        "or all (a pull request's base, too)",
    )
    reuse_deadline = Field(
        parsing.seconds, 300, "seconds in which an image to reuse has to be there", "SECONDS"
    )
    output_compression = Field(
        Choice("compression", tuple(Compression)), "zstd", "compression of pushed layers"
    )
    trusted = Field(
        parsing.boolean,
        default=True,
        description="whether runs may write caches and images; only its variable trusts unknown "
        "CI events",
    )
    context_untracked = Field(
        Items(parsing.pattern), [], "untracked files in the context, like sources/**", "PATTERN"
    )
    context_ignored = Field(
        Items(parsing.pattern), [], "git-ignored files in the context, like ui/dist/**", "PATTERN"
    )
    base_image = Field(
        parsing.image_template, "python:{python}-slim-bookworm", "upstream image, always pulled"
    )
    locked = Field(
        parsing.boolean, default=False, help="take base images from base.lock, whatever has moved"
    )
    airflow_version = Field(parsing.version, "3.3.2", description="release of Airflow")
    airflow_versions = Field(
        parsing.versions, {}, description="release of Airflow for some Python versions"
    )
    airflow_from = Field(
        parsing.text,
        "release",
        "what PROD installs: release, wheels (those in docker-context-files/), a folder of "
        "Airflow's sources, or git+URL@REF",
        "SOURCE",
        kind=ImageKind.PROD,
    )
    airflow_extras = Field(
        parsing.extras,
        [],
        "extras of apache-airflow (default: those of the official image)",
        "EXTRA",
    )
    airflow_extras_add = Field(parsing.extras, [], "further extras of apache-airflow", "EXTRA")
    sources = Field(
        Choice("sources", ("copy", "mount")),
        "copy",
        "whether a CI image has the sources, or they are mounted when it runs",
        kind=ImageKind.CI,
    )
    constraints_mode = Field(
        parsing.constraints_mode,
        "constraints",
        "constraint file of PROD: constraints, constraints-no-providers or "
        "constraints-source-providers",
        "MODE",
        kind=ImageKind.PROD,
    )
    # What some packages use is not in newer versions of others, which they do not exclude: Airflow
    # 3.0.6's providers sftp and ssh that of paramiko 4, snowflake-sqlalchemy 1.11 that of
    # SQLAlchemy 2.1. PyJWT 2.11 refuses the issuer of Airflow 3.0.6's tokens, so none can be had.
    constraints_limits = Field(
        parsing.requirements,
        [
            "paramiko<4; python_version < '3.10'",
            "pyjwt<2.11; python_version < '3.10'",
            "sqlalchemy<2.1",
        ],
        description="bounds that a release needs and does not declare, like paramiko<4",
    )
    constraints_location = Field(
        parsing.text,
        "",
        "constraint file or URL for PROD, with {python} for the version",
        kind=ImageKind.PROD,
    )
    dependencies_python = Field(
        parsing.dependencies,
        [],
        "additional Python packages; `-r FILE` reads requirements, `-c FILE` constraints",
        "REQUIREMENT",
    )
    dependencies_apt_dev = Field(
        parsing.apt_packages,
        [],
        "additional Debian packages of CI and of PROD's build stage; `-r FILE` reads them",
        "PACKAGE",
    )
    dependencies_apt_runtime = Field(
        parsing.apt_packages,
        [],
        "additional Debian packages of PROD; `-r FILE` reads them",
        "PACKAGE",
        kind=ImageKind.PROD,
    )
    apt_mirror = Field(
        parsing.apt_mirror,
        "",
        "mirror of Debian to use instead of the base image's sources; none: only apt.sources",
        "URL",
    )
    apt_security_mirror = Field(
        parsing.apt_mirror,
        "",
        "mirror of Debian's security updates, or none (default: that of Debian with -security)",
        "URL",
    )
    apt_sources = Field(
        Items(parsing.text), [], "files of further sources of Debian packages (deb822)", "FILE"
    )
    apt_environment = Field(
        parsing.variables,
        {},
        "variables for installing Debian packages, like ACCEPT_EULA=Y",
        "NAME=VALUE",
        repeat=True,
    )
    ci_from = Field(
        parsing.text,
        "release",
        "what CI installs: release, a folder of Airflow's sources, or git+URL@REF; sources are "
        "installed editable",
        "SOURCE",
        kind=ImageKind.CI,
    )
    ci_distributions = Field(
        Items(parsing.distribution),
        [],
        description="distributions of the sources that CI installs (default: all)",
        kind=ImageKind.CI,
    )
    ci_groups = Field(
        Items(parsing.dependency_group),
        ["dev"],
        description="dependency groups of the sources' distributions but apache-airflow, or of one "
        "like apache-airflow:ci-image",
        kind=ImageKind.CI,
    )
    ci_test_packages = Field(
        parsing.requirements, [], description="Python packages for tests, in the CI image"
    )
    ci_extras = Field(
        parsing.extras,
        [],
        "extras of the CI image (default: airflow.extras)",
        "EXTRA",
        kind=ImageKind.CI,
    )
    ci_dockerfile = Field(
        parsing.text, "", "Dockerfile of CI (default: Dockerfile.ci)", "FILE", kind=ImageKind.CI
    )
    ci_target = Field(
        parsing.text, "", "stage of CI's Dockerfile (default: the last)", "STAGE", kind=ImageKind.CI
    )
    ci_context = Field(
        parsing.text,
        "",
        "folder of CI's build context (default: the project's)",
        "FOLDER",
        kind=ImageKind.CI,
    )
    ci_checks = Field(parsing.text, "", description="file of pytest with checks of the CI image")
    ci_budget = Field(parsing.megabytes, 0, description="largest size of the CI image in MB")
    prod_dockerfile = Field(
        parsing.text, "", "Dockerfile of PROD (default: Dockerfile)", "FILE", kind=ImageKind.PROD
    )
    prod_target = Field(
        parsing.text,
        "",
        "stage of PROD's Dockerfile (default: the last)",
        "STAGE",
        kind=ImageKind.PROD,
    )
    prod_context = Field(
        parsing.text,
        "",
        "folder of PROD's build context (default: the project's)",
        "FOLDER",
        kind=ImageKind.PROD,
    )
    prod_checks = Field(
        parsing.text, "", description="file of pytest with checks of the PROD image"
    )
    prod_budget = Field(parsing.megabytes, 0, description="largest size of the PROD image in MB")
    prod_slim_budget = Field(
        parsing.megabytes, 0, description="largest size of the slim PROD image in MB"
    )
    prod_profile = Field(
        Choice("profile", ("official", "slim")),
        "official",
        "what PROD has: the extras, clients and programs of the official image, or Airflow alone",
        kind=ImageKind.PROD,
    )
    prod_clients = Field(
        parsing.clients,
        [],
        "database clients of the PROD image (default: all)",
        kind=ImageKind.PROD,
    )
    prod_bytecode = Field(
        Choice("bytecode", ("airflow", "all", "standard-library", "none")),
        "airflow",
        "which bytecode the PROD image has",
        kind=ImageKind.PROD,
    )
    prod_uid = Field(
        parsing.uid,
        labels.UID,
        "id of the user airflow in the PROD image",
        "UID",
        kind=ImageKind.PROD,
    )
    prod_home = Field(
        parsing.folder,
        "/opt/airflow",
        "AIRFLOW_HOME of the PROD image",
        "FOLDER",
        kind=ImageKind.PROD,
    )
    prod_user_home = Field(
        parsing.folder,
        "/home/airflow",
        "home of the user airflow in the PROD image",
        "FOLDER",
        kind=ImageKind.PROD,
    )
    index_default = Field(
        parsing.default_index,
        "",
        "index of Python packages (default: UV_DEFAULT_INDEX, or PyPI)",
        "URL",
    )
    index_extra = Field(
        Items(parsing.index), [], "indexes of Python packages that come first", "[NAME=]URL"
    )
    index_find_links = Field(
        Items(parsing.links), [], "a folder with Python packages, or pages with links", "PLACE"
    )
    index_offline = Field(
        parsing.boolean,
        default=False,
        help="take Python packages only from the folder of --index-find-links",
    )
    index_keyring = Field(
        Choice("keyring provider", ("disabled", "subprocess")),
        "disabled",
        "whether the program keyring has passwords of indexes",
    )
    index_strategy = Field(
        Choice("index strategy", ("first-index", "unsafe-first-match", "unsafe-best-match")),
        "first-index",
        "how uv chooses from several indexes",
    )
    uv_version = Field(parsing.version, "0.9.18", description="version of uv in the images")
    uv_timeout = Field(
        parsing.seconds, 300, "seconds after which uv and pip give up a connection", "SECONDS"
    )
    uv_prerelease = Field(
        Choice(
            "mode of pre-releases",
            ("disallow", "allow", "if-necessary", "explicit", "if-necessary-or-explicit"),
        ),
        "if-necessary-or-explicit",
        "which pre-releases uv installs, like allow",
        "MODE",
    )
    uv_no_binary = Field(
        Items(parsing.no_binary), [], "packages that uv builds from source", "PACKAGE"
    )
    pip_version = Field(parsing.version, "25.3", description="version of pip in the images")
    sbom_scanner = Field(
        parsing.image_template, "docker/buildkit-syft-scanner:stable-1", "image that makes SBOMs"
    )

    @property
    def prod_slim(self) -> bool:
        """Whether the PROD image has Airflow alone."""
        return self.prod_profile == "slim"

    @property
    def ci_checkout(self) -> bool:
        """Whether the CI image has a checkout of Airflow, not a release."""
        return self.ci_from != "release"

    @property
    def ca_bundle_file(self) -> Path | None:
        """The CA bundle, if one is set.

        Raises:
            UsageError: the file does not exist.
        """
        if not self.ca_bundle:
            return None
        file = self.path("ca-bundle", self.ca_bundle)
        if not file.is_file():
            raise UsageError(f"{self.origins['ca-bundle']}: no such file: {self.ca_bundle}")
        return file

    @property
    def image_names(self) -> tuple[str, ...]:
        """The names of all images: those of Airflow, and the project's own."""
        return (*map(str, ImageKind), *self.images)

    def builder_named(self, name: str) -> Builder:
        """Return the desired state of a dedicated builder."""
        return self.builders.get(name) or builder.default_builder(name)

    def airflow_for(self, python: str) -> str:
        """Return the release of Airflow for a Python version."""
        return self.airflow_versions.get(python, self.airflow_version)


FIELDS = tuple(value for value in vars(Settings).values() if isinstance(value, Field))
