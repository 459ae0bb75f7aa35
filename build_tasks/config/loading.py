"""Load the effective settings.

Options take precedence over environment variables, these over images.toml, and that over the
defaults. An error names the place of the wrong value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from build_tasks import console, paths
from build_tasks.config.parsing import expected, unknown
from build_tasks.config.settings import (
    ENVIRONMENT_PREFIX,
    FIELDS,
    FILE_VARIABLE,
    ROOT,
    Field,
    Settings,
    variable,
)
from build_tasks.errors import UsageError
from build_tasks.model import builder
from build_tasks.text.redaction import redact

#: Variables with the prefix that set no key; those of tests have their own prefix.
OTHER_VARIABLES = tuple(ENVIRONMENT_PREFIX + name for name in ("CACHE", "ENGINE_RELEASE", "FILE"))
TEST_VARIABLES = f"{ENVIRONMENT_PREFIX}TESTS_"
#: `user:password@host` without a scheme, as in an image reference.
_USER_INFORMATION = re.compile(r"(?<![\w./@:-])[\w.+-]*:[^\s/@:,'\"]+@(?!sha\d+:)")
#: Where the credentials of an address belong.
_ALTERNATIVES = {"airflow.from": "leave it to git", "constraints.location": "use a file"}
_KEYS = {item.key for item in FIELDS}
_TABLES = {key.partition(".")[0] for key in _KEYS if "." in key}


def load(
    options: Mapping[str, object] | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    file: Path | None = None,
) -> Settings:
    """Return the effective settings.

    Args:
        options: values by option.
        environment: environment variables.
        file: the settings file; by default the one that AIRFLOW_IMAGES_FILE names, or the
            project's images.toml.

    Raises:
        UsageError: a key, a variable or a value is wrong.
    """
    check_variables(environment)
    path = file or Path(environment.get(FILE_VARIABLE) or ROOT / "images.toml")
    content = _read(path)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for item in FIELDS:
        value, origin = _find(item, options or {}, environment, content, path.name)
        if origin != "default":
            _refuse_user_information(value, origin)
            raw, value = value, item.parse(value, origin)
            # After parsing: its errors hide secrets too, and say more.
            _refuse_secrets(raw, origin, _ALTERNATIVES.get(item.key, ""))
        values[item.attribute] = value
        origins[item.key] = origin
    return Settings(**values, origins=MappingProxyType(origins))


def check_variables(environment: Mapping[str, str]) -> None:
    """Raise UsageError for a variable with the suite's prefix that sets nothing."""
    known = {item.variable for item in FIELDS}
    known |= {variable(item.old_key) for item in FIELDS if item.old_key}
    known.update(OTHER_VARIABLES)
    names = sorted(name.removeprefix(ENVIRONMENT_PREFIX) for name in known)
    for name in sorted(environment):
        suffix = name.removeprefix(ENVIRONMENT_PREFIX)
        if suffix not in {name, *names} and not name.startswith(TEST_VARIABLES):
            raise unknown(
                "unknown variable", suffix, names, "`invoke settings`", prefix=ENVIRONMENT_PREFIX
            )


def rows(settings: Settings) -> list[tuple[str, object, str]]:
    """Return key, value and origin of each setting."""
    result: list[tuple[str, object, str]] = []
    for item in FIELDS:
        if item.key == "builders" and settings.builders:
            result += builder.setting_rows(settings.builders)
        else:
            result.append((item.key, getattr(settings, item.attribute), settings.origins[item.key]))
    return result


@cache  # settings are loaded several times in one run
def renamed(old: str, new: str) -> None:
    """Say that a name has changed."""
    console.message(f"{old} is now called {new}")


def _find(
    item: Field,
    options: Mapping[str, object],
    environment: Mapping[str, str],
    content: Mapping[str, object],
    file_name: str,
) -> tuple[object, str]:
    """Return the value of a setting and its origin."""
    given = options.get(item.name) if item.option else None
    if given is not None and given is not False and given != []:
        return given, f"--{item.name}"
    if item.variable in environment:
        return environment[item.variable], item.variable
    if item.old_key and variable(item.old_key) in environment:
        renamed(variable(item.old_key), item.variable)
        return environment[variable(item.old_key)], variable(item.old_key)
    if item.key in content:
        return content[item.key], f"{file_name}: {item.key}"
    return item.default, "default"


def _refuse_secrets(value: object, origin: str, alternative: str) -> None:
    """Raise UsageError if a value contains a secret: settings are displayed, and enter images."""
    for text in _texts(value):
        shown = redact(text)
        if shown != text and alternative:
            raise UsageError(f"{origin}: the address contains a password: {alternative}")
        if shown != text:
            raise UsageError(
                f"{origin}: {shown!r} contains a secret (***), which commands and logs would show: "
                "docs/building.md says where credentials belong"
            )


def _refuse_user_information(value: object, origin: str) -> None:
    """Raise UsageError for `user:password@host`, which no reference or address may contain."""
    for text in _texts(value):
        if _USER_INFORMATION.search(text):
            shown = _USER_INFORMATION.sub("***@", redact(text))
            raise UsageError(
                f"{origin}: {shown!r} contains a user name and password: use `docker login`; "
                "docs/building.md says where credentials belong"
            )


def _texts(value: object, name: str = "") -> Iterator[str]:
    """Yield the texts of a raw value, each with its key."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, str(key))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, name)
    elif isinstance(value, str):
        yield f"{name}={value}" if name else value


def _read(path: Path) -> dict[str, object]:
    """Return the values of a settings file by dotted key."""
    try:
        tables = paths.parse_toml(paths.read_text(path))
    except FileNotFoundError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path.name}: {error}") from None
    content: dict[str, object] = {}
    for name, value in tables.items():
        if name not in _TABLES:
            content[name] = value
        elif isinstance(value, dict):
            content |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            raise expected(f"a table [{name}]", value, f"{path.name}: {name}")
    for item in FIELDS:
        if item.old_key in content:
            renamed(f"{path.name}: {item.old_key}", item.key)
            content.setdefault(item.key, content.pop(item.old_key))
    for key in content:
        if key not in _KEYS:
            table, _, name = key.rpartition(".")
            valid = sorted(
                item.rpartition(".")[2] for item in _KEYS if item.rpartition(".")[0] == table
            )
            place = f"{path.name}: [{table}]" if table else path.name
            raise unknown(f"{place}: unknown key", name, valid, "`invoke settings`")
    return content
