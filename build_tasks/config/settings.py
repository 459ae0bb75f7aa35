"""images.toml, the environment and options become one frozen Settings.

Options beat the environment, which beats the file, which beats the defaults. Whatever is wrong is
said with the place that it stands in.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from build_tasks import paths
from build_tasks.config.fields import (
    ENVIRONMENT_PREFIX,
    FIELDS,
    OTHER_VARIABLES,
    TEST_VARIABLES,
    Field,
)
from build_tasks.errors import UsageError
from build_tasks.model import builder
from build_tasks.model.builder import Builder
from build_tasks.model.cache import CacheImports, CacheMode, Compression
from build_tasks.model.cache_backends import Backend
from build_tasks.model.matrix import Platform
from build_tasks.text.formatting import listed
from build_tasks.text.redaction import redact

_PACKAGE = Path(__file__).resolve().parents[1]
#: The checkout; where the suite was installed from a wheel, what that carries of one.
ROOT = (
    _PACKAGE.parent
    if (_PACKAGE.parent / "images.toml").is_file()
    else _PACKAGE.parent / "airflow_images"
)
#: `user:password@host` without a scheme before it, as in an image's reference.
_USER_INFORMATION = re.compile(r"(?<![\w./@:-])[\w.+-]*:[^\s/@:,'\"]+@(?!sha\d+:)")
#: Where the credentials of an address go instead.
_INSTEAD = {"airflow.from": "leave it to git", "constraints.location": "use a file"}
FILE_VARIABLE = f"{ENVIRONMENT_PREFIX}FILE"
_HINT = f"each key of `invoke settings` has one, as cache.mode has {ENVIRONMENT_PREFIX}CACHE_MODE"


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
        return self.builders.get(name) or builder.default_builder(name)

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
        UsageError: a key, a variable or a value is wrong; the message names the place and the
            valid ones.
    """
    given = environment if environment is not None else os.environ
    check_variables(given)
    path = file or Path(given.get(FILE_VARIABLE) or ROOT / "images.toml")
    from_file = _flat(_read(path), path.name)
    result: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for item in FIELDS:
        value, origin = _find(item, options or {}, given, from_file, path.name)
        if origin != "default":
            _refuse_user_information(value, origin)
            parsed = item.parse(value, origin)
            _refuse_secrets(value, origin, _INSTEAD.get(item.key, ""))
            value = parsed
        result[item.attribute] = value
        origins[item.key] = origin
    return Settings(**result, origins=MappingProxyType(origins))


def check_variables(environment: Mapping[str, str]) -> None:
    """Raise UsageError if a variable has the suite's prefix and sets nothing: it is misspelt."""
    known = [item.variable for item in FIELDS]
    known += [f"{ENVIRONMENT_PREFIX}{name}" for name in OTHER_VARIABLES]
    for name in sorted(environment):
        if name.startswith(ENVIRONMENT_PREFIX) and not name.startswith(TEST_VARIABLES):
            if name in known:
                continue
            suffixes = [variable.removeprefix(ENVIRONMENT_PREFIX) for variable in known]
            near = difflib.get_close_matches(name.removeprefix(ENVIRONMENT_PREFIX), suffixes, n=1)
            advice = f"did you mean {ENVIRONMENT_PREFIX}{near[0]}?" if near else _HINT
            raise UsageError(f"{name}: unknown variable: {advice}")


def rows(settings: Settings) -> list[tuple[str, object, str]]:
    """Return key, value and origin of each setting, in the order of FIELDS."""
    result: list[tuple[str, object, str]] = []
    for item in FIELDS:
        value = getattr(settings, item.attribute)
        if item.key == "builders" and value:
            result += builder.setting_rows(settings.builders)
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


def _refuse_secrets(value: object, origin: str, instead: str) -> None:
    """Raise UsageError if a value holds a secret: settings are shown, and enter images.

    Errors of parsing hide secrets and say more, so this comes after it.
    """
    for text in _texts(value):
        shown = redact(text)
        if shown != text and instead:
            raise UsageError(f"{origin}: a password in the address would be shown: {instead}")
        if shown != text:
            raise UsageError(
                f"{origin}: {shown!r}: holds a secret (***), which would be shown by commands and "
                "logs: leave it out; docs/building.md says where credentials belong"
            )


def _refuse_user_information(value: object, origin: str) -> None:
    """Raise UsageError for `user:password@host`, which no reference or address may hold."""
    for text in _texts(value):
        if _USER_INFORMATION.search(text):
            shown = _USER_INFORMATION.sub("***@", redact(text))
            raise UsageError(
                f"{origin}: {shown!r}: a user's name and password do not belong here: use "
                "`docker login`, or docs/building.md says where credentials belong"
            )


def _texts(value: object, name: str = "") -> Iterator[str]:
    """Yield the texts of a value as TOML or an option gives it, each with the name it has."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, str(key))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, name)
    elif isinstance(value, str):
        yield f"{name}={value}" if name else value


def _read(path: Path) -> dict[str, Any]:
    try:
        return paths.parse_toml(paths.read_text(path))
    except FileNotFoundError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
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
