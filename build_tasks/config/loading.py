"""Load the effective settings.

Options take precedence over environment variables, these over images.toml, and that over the
defaults. An error names the place of the wrong value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from build_tasks import console, paths
from build_tasks.config import project as projects
from build_tasks.config.parsing import boolean, expected, nearest, unknown, without_login
from build_tasks.config.settings import (
    ENVIRONMENT_PREFIX,
    FIELDS,
    FORMER_KEYS,
    FORMER_SWITCHES,
    TABLES,
    UV_VARIABLES,
    Settings,
)
from build_tasks.errors import UsageError
from build_tasks.model import builder, own_image
from build_tasks.model.matrix import ImageKind
from build_tasks.text import hints
from build_tasks.text.redaction import redact

#: A file of requirements that is used where `dependencies.python` is not set.
REQUIREMENTS = "requirements.txt"
#: The build argument with the packages of `dependencies.python`.
_PACKAGES = "ADDITIONAL_PYTHON_DEPS"
#: Variables with the prefix that set no key; those of tests have their own prefix.
OTHER_VARIABLES = tuple(ENVIRONMENT_PREFIX + name for name in ("CACHE", "ENGINE_RELEASE", "FILE"))
TEST_VARIABLES = f"{ENVIRONMENT_PREFIX}TESTS_"
#: `user:password@host` without a scheme, as in an image reference, or with a broken one.
_USER_INFORMATION = re.compile(
    r"(?<![\w./@:-])(?:\w+:/(?!/)|//)?[\w.+-]*:[^\s/@:,'\"]+@(?!sha\d+:)"
)
#: Where the credentials of an address belong.
_ALTERNATIVES = {
    "airflow.from": "leave it to git",
    **dict.fromkeys(("apt.mirror", "apt.security-mirror"), "use the secret apt-auth (docs/apt.md)"),
    "build.arguments": "name its place in build.secrets, and mount it in the step that needs it",
    "constraints.location": "use a file",
    **dict.fromkeys(("http-proxy", "https-proxy"), "steps can only use a proxy without a password"),
    **dict.fromkeys(
        ("index.default", "index.extra", "index.find-links"),
        "set UV_INDEX_<NAME>_USERNAME and UV_INDEX_<NAME>_PASSWORD, or use .netrc",
    ),
}
#: A setting that names the places of secrets; its parser accepts nothing else.
_PLACES = "build.secrets"

#: Raw values and their origins, by key.
Origins = dict[str, tuple[Any, str]]


def load(
    options: Mapping[str, object] | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    file: Path | None = None,
) -> Settings:
    """Return the effective settings.

    Options that are None, False or an empty list are not given. The file is by default that of
    `project.find`. Its folder's requirements.txt is installed, unless settings or the project's own
    Dockerfiles say what is.

    Raises:
        UsageError: there is no file, or a key, a variable or a value is wrong.
    """
    variables = read_environment(environment)
    project = projects.find(environment, file)
    given = _read_file(project.file) | variables
    if os.path.lexists(project.root / REQUIREMENTS) and _installs_packages(project):
        given.setdefault("dependencies.python", ([f"-r {REQUIREMENTS}"], REQUIREMENTS))
    for item in FIELDS:
        value = (options or {}).get(item.name)
        if value not in (None, False, []):
            given[item.key] = (value, f"--{item.name}")
    if not any(key.startswith("index.") for key in given):
        given |= _of_uv(environment)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for item in FIELDS:
        value, origin = given.get(item.key, (item.default, "default"))
        advice = _ALTERNATIVES.get(item.key, "docs/building.md says where credentials belong")
        checked = None if item.key == _PLACES else value
        _refuse_secrets(checked, origin, advice, partial(_USER_INFORMATION.sub, "***@"))
        values[item.key] = item.parse(value, origin)
        # After parsing: its errors hide secrets too, and say more.
        _refuse_secrets(checked, origin, advice, redact)
        origins[item.key] = origin
    return Settings(MappingProxyType(values), MappingProxyType(origins), project)


def _installs_packages(project: projects.Project) -> bool:
    """Return whether the Dockerfiles that a project itself has use `dependencies.python`."""
    own = [project.root / kind.dockerfile for kind in ImageKind]
    return all(_PACKAGES in paths.read_text(file) for file in own if file.is_file())


def rows(settings: Settings) -> list[tuple[str, object, str]]:
    """Return key, value and origin of the file, of what is beside it, and of each setting."""
    project = settings.project
    result: list[tuple[str, object, str]] = [
        ("file", str(project.file), project.origin),
        ("files", project.own, "beside the file"),
    ]
    for item in FIELDS:
        if item.key == "builders" and settings.builders:
            result += builder.setting_rows(settings.builders)
        elif item.key == "images" and settings.images:
            result += own_image.setting_rows(settings.images)
        else:
            result.append((item.key, settings.values[item.key], settings.origins[item.key]))
    return result


@cache  # settings are loaded several times in one run
def renamed(old: str, new: str) -> None:
    """Say that a name has changed."""
    console.message(f"{old} is now called {new}")


def read_environment(environment: Mapping[str, str]) -> Origins:
    """Return the values of variables, or raise UsageError for one that sets nothing."""
    keys = {item.variable: item.key for item in FIELDS}
    former = {
        f"{ENVIRONMENT_PREFIX}{old.upper()}": f"{ENVIRONMENT_PREFIX}{new.upper()}"
        for old, new in FORMER_KEYS.items()
    }
    switches = {
        f"{ENVIRONMENT_PREFIX}{old.upper().replace('.', '_')}": old for old in FORMER_SWITCHES
    }
    values: Origins = {}
    for name in sorted(environment):
        if name in switches:
            key, value = _of_switch(switches[name], environment[name], name)
            values.setdefault(key, (value, name))
        elif name in former:
            renamed(name, former[name])
            values.setdefault(keys[former[name]], (environment[name], name))
        elif name in keys:
            values[keys[name]] = (environment[name], name)
        elif name.startswith(ENVIRONMENT_PREFIX) and not (
            name in OTHER_VARIABLES or name.startswith(TEST_VARIABLES)
        ):
            suffix = name.removeprefix(ENVIRONMENT_PREFIX)
            valid = [item.removeprefix(ENVIRONMENT_PREFIX) for item in (*keys, *OTHER_VARIABLES)]
            raise unknown(
                "unknown variable",
                suffix,
                valid,
                f"`{hints.task('settings')}`",
                prefix=ENVIRONMENT_PREFIX,
            )
    return values


def _of_uv(environment: Mapping[str, str]) -> Origins:
    """Return the indexes that variables of uv name, without their credentials."""
    values: Origins = {}
    for name, key in UV_VARIABLES.items():
        urls = [without_login(url) for url in environment.get(name, "").split()]
        if urls and key not in values:
            values[key] = (urls[0] if key == "index.default" else urls, name)
    return values


def _read_file(path: Path) -> Origins:
    """Return the values of a settings file."""
    try:
        tables = paths.parse_toml(paths.read_text(path))
    except ValueError as error:
        raise UsageError(f"{path.name}: {error}") from None
    content: dict[str, object] = {}
    for name, value in tables.items():
        if name not in TABLES:
            content[name] = value
        elif isinstance(value, dict):
            content |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            raise expected(f"a table [{name}]", value, f"{path.name}: {name}")
    for old, new in FORMER_KEYS.items():
        if old in content:
            renamed(f"{path.name}: {old}", new)
            content.setdefault(new, content.pop(old))
    for old in FORMER_SWITCHES.keys() & content.keys():
        key, chosen = _of_switch(old, content.pop(old), f"{path.name}: {old}")
        content.setdefault(key, chosen)
    for key, value in content.items():
        _check_key(path, key, value)
    return {key: (value, f"{path.name}: {key}") for key, value in content.items()}


def _of_switch(old: str, value: object, place: str) -> tuple[str, str]:
    """Return the key and the value in the place of a former switch, and say so."""
    key, on, off = FORMER_SWITCHES[old]
    chosen = on if boolean(value, place) else off
    renamed(place, f'{key} = "{chosen}"')
    return key, chosen


def _check_key(path: Path, key: str, value: object) -> None:
    """Raise UsageError for an unknown key or table of a settings file."""
    keys = {item.key for item in FIELDS}
    if key in keys:
        return
    table, _, name = key.rpartition(".")
    if isinstance(value, dict) and not table:
        raise unknown(f"{path.name}: unknown table", name, sorted({*TABLES, "builders", "images"}))
    subject = f"{path.name}: [{table}]: unknown key" if table else f"{path.name}: unknown key"
    # The key of another table, or the name of an option.
    elsewhere = [
        item for item in sorted(keys) if name in {item.rpartition(".")[2], item.replace(".", "-")}
    ]
    valid = sorted(item.rpartition(".")[2] for item in keys if item.rpartition(".")[0] == table)
    if elsewhere and not nearest(name, valid):
        found = [item if "." in item else f"{item}, before the first table" for item in elsewhere]
        raise UsageError(f"{subject} {name!r}: did you mean {' or '.join(found)}?")
    raise unknown(subject, name, valid, f"`{hints.task('settings')}`")


def _refuse_secrets(value: object, origin: str, advice: str, hide: Callable[[str], str]) -> None:
    """Raise UsageError if a value contains a secret: settings are displayed, and enter images."""
    for place, text in _texts(value):
        shown = hide(text)
        if shown != text:
            raise UsageError(
                f"{origin}{place}: {shown!r} contains a secret (***), which commands and logs "
                f"would show: {advice}"
            )


def _texts(value: object, place: str = "", name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts of a raw value, each with its key, and the tables that it stands in."""
    if isinstance(value, Mapping):
        inner = f"{place}.{name}" if name else place
        for key, item in value.items():
            yield from _texts(item, inner, str(key))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, place, name)
    elif isinstance(value, str):
        yield place, f"{name}={value}" if name else value
