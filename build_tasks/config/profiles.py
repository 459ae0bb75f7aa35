"""What the settings choose for an image: extras of Airflow, database clients and programs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from packaging.version import Version

from build_tasks import paths
from build_tasks.config import parsing
from build_tasks.config.settings import ENVIRONMENT_PREFIX, Settings
from build_tasks.errors import UsageError
from build_tasks.model.matrix import ImageKind

#: Extras, each with the place that names it.
Extras = tuple[tuple[str, str], ...]


@cache
def _data() -> dict[str, Any]:
    """Return the content of profiles.toml."""
    return paths.read_data(Path(__file__).with_suffix(".toml"))


def official_extras(airflow: str, place: str) -> tuple[str, ...]:
    """Return the extras that the official image of a release of Airflow has.

    Raises:
        UsageError: the release is older than those in profiles.toml, or is no version.
    """
    releases: dict[str, list[str]] = _data()["extras"]
    release = Version(parsing.version(airflow, place)).release
    known = [first for first in releases if Version(first).release <= release]
    if not known:
        raise UsageError(
            f"{place}: the extras of the official image of Airflow {airflow} are not known, only "
            f"those from Airflow {next(iter(releases))} on: set airflow.extras"
        )
    return tuple(releases[known[-1]])


def extras(settings: Settings, kind: ImageKind, airflow: str) -> Extras:
    """Return the extras of an image.

    A slim image has none. Others have those of `airflow.extras`, by default those of the official
    image, and those of `airflow.extras-add`. A CI image has those of `ci.extras` instead of the
    first, unless `airflow.extras` comes from a place that outranks that of `ci.extras`; from
    sources, it has none by default.

    Raises:
        UsageError: the extras of the official image of that release are not known.
    """
    if kind is ImageKind.PROD and settings.prod_slim:
        return ()
    if key := own_list(settings, kind):
        place, names = settings.origins[key], settings.values[key]
    elif kind is ImageKind.CI and settings.ci_checkout:
        place, names = settings.origins["ci.from"], ()  # its dependency groups say what tests need
    else:
        place = "airflow.extras" if kind is ImageKind.CI else "prod.profile"
        names = official_extras(airflow, place)
    chosen = dict.fromkeys(names, place)
    for name in settings.airflow_extras_add:
        chosen.setdefault(name, settings.origins["airflow.extras-add"])
    return tuple((place, name) for name, place in chosen.items())


def own_list(settings: Settings, kind: ImageKind) -> str:
    """Return the key with the list of extras of an image, or "" if it has the official ones."""
    keys = ["ci.extras", "airflow.extras"] if kind is ImageKind.CI else ["airflow.extras"]
    key = max(keys, key=lambda key: _rank(settings, key))
    return key if _rank(settings, key) else ""


def names(extras: Extras) -> tuple[str, ...]:
    """Return extras without their places."""
    return tuple(name for _, name in extras)


def clients(settings: Settings) -> tuple[str, ...]:
    """Return the database clients of the PROD image: the official one has all, a slim one none."""
    if settings.prod_slim:
        return ()
    return settings.prod_clients if _rank(settings, "prod.clients") else tuple(parsing.CLIENTS)


def programs(settings: Settings) -> tuple[str, ...]:
    """Return the Debian packages that the profile of the PROD image has."""
    return () if settings.prod_slim else tuple(_data()["programs"])


def _rank(settings: Settings, key: str) -> int:
    """Return how much the place of a value counts: 0 for a default, 3 for an option."""
    origin = settings.origins[key]
    if origin == "default":
        return 0
    return 3 if origin.startswith("--") else 2 if origin.startswith(ENVIRONMENT_PREFIX) else 1
