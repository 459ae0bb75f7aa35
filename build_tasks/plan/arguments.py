"""Build arguments of the Dockerfiles, in their order."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable

from build_tasks.config import profiles
from build_tasks.config.parsing import CLIENTS
from build_tasks.config.settings import Settings
from build_tasks.constraints import extras, indexes, requirement_files
from build_tasks.errors import UsageError
from build_tasks.inputs.dockerfile.inputs import EPOCH
from build_tasks.inputs.fingerprint import BASE_ARGUMENT
from build_tasks.model.aliases import Pairs
from build_tasks.model.labels import Revision
from build_tasks.model.matrix import ImageKind
from build_tasks.plan import dockerfiles
from build_tasks.plan.airflow_source import Installation
from build_tasks.text.redaction import is_secret_name, redact

#: Arguments that the suite sets where it knows their values, and those that BuildKit sets.
_PLANNED = (
    *(BASE_ARGUMENT, "AIRFLOW_BASELINE", EPOCH, "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    *(
        f"{machine}{part}"
        for machine in ("BUILD", "TARGET")
        for part in ("ARCH", "OS", "PLATFORM", "VARIANT")
    ),
)


def arguments(
    python: str, settings: Settings, installation: Installation | None, revision: Revision
) -> Pairs:
    """Return the build arguments of an image; empty ones are left to the Dockerfile.

    A CI image of a release has no `installation`.

    Raises:
        UsageError: a value is or holds a secret, like a token as the build id.
    """
    kind = installation.kind if installation else ImageKind.CI
    airflow = installation.version if installation else settings.airflow_for(python)
    build, runtime = _debian_packages(python, settings, kind, airflow)
    table = {
        "AIRFLOW_PYTHON_VERSION": python,
        "AIRFLOW_UV_VERSION": settings.uv_version,
        "AIRFLOW_UV_OPTIONS": " ".join(indexes.options(settings)),
        "AIRFLOW_UV_PRERELEASE": settings.uv_prerelease,
        "ADDITIONAL_DEV_APT_DEPS": build,
        "ADDITIONAL_PYTHON_DEPS": _words(requirement_files.python_items(settings, python)),
        **dict(proxies(settings)),
        **(
            _prod(settings, installation)
            if installation and kind is ImageKind.PROD
            else _ci(python, settings, installation)
        ),
        "ADDITIONAL_RUNTIME_APT_DEPS": runtime,
        # What changes with every commit comes last, as in the Dockerfiles.
        "BUILD_ID": revision.build_id,
        "COMMIT_SHA": revision.commit,
    }
    own = _own(settings, kind, {*table, *_PLANNED})
    pairs = (*((name, value) for name, value in table.items() if value), *own)
    refuse_secrets(pairs)
    return pairs


def every_image(python: str, settings: Settings, revision: Revision) -> dict[str, str]:
    """Return the arguments of any image, also of one that does not install Airflow."""
    table = {
        "AIRFLOW_PYTHON_VERSION": python,
        **dict(proxies(settings)),
        "BUILD_ID": revision.build_id,
        "COMMIT_SHA": revision.commit,
    }
    return {name: value for name, value in table.items() if value}


def of_other(python: str, settings: Settings, kind: ImageKind, revision: Revision) -> Pairs:
    """Return the arguments of another Dockerfile in an image's place that installs no Airflow.

    Raises:
        UsageError: the suite sets an argument itself, no Dockerfile declares it, or it is a secret.
    """
    table = every_image(python, settings, revision)
    pairs = (*_own(settings, kind, {*table, *_PLANNED}), *table.items())
    refuse_secrets(pairs)
    return pairs


def proxies(settings: Settings) -> Pairs:
    """Return the arguments with proxies, which BuildKit keeps out of history and cache keys."""
    table = {
        "HTTP_PROXY": settings.http_proxy,
        "HTTPS_PROXY": settings.https_proxy,
        "NO_PROXY": ",".join(settings.no_proxy),
    }
    return tuple((name, value) for name, value in table.items() if value)


def refuse_secrets(pairs: Pairs, environment: str = "") -> None:
    """Raise UsageError if a value is or holds a secret: it would stay in the image.

    The values are build arguments, or variables of the image if `environment` says what sets them.
    """
    for name, value in pairs:
        if value and (is_secret_name(name) or redact(value) != value):
            subject = f"{environment}: variable" if environment else "build argument"
            advice = (
                "leave it out, and give it to the container"
                if environment
                else "leave it out, or pass it as a BuildKit secret"
            )
            raise UsageError(
                f"{subject} {name}: holds a secret, which would stay in the image: {advice}"
            )


def _own(settings: Settings, kind: ImageKind, planned: Collection[str]) -> Pairs:
    """Return the user's arguments that the Dockerfile of an image declares.

    Raises:
        UsageError: the suite sets an argument itself, or no Dockerfile declares it.
    """
    if not settings.build_arguments:
        return ()
    place = settings.origins["build.arguments"]
    declared = {kind: dockerfiles.of_kind(settings, kind).arguments for kind in ImageKind}
    known = frozenset[str]().union(*declared.values())
    dockerfiles.check_arguments(
        settings.build_arguments, known, planned, place, "no Dockerfile declares it"
    )
    return tuple(
        (name, value) for name, value in settings.build_arguments.items() if name in declared[kind]
    )


def _ci(python: str, settings: Settings, checkout: Installation | None) -> dict[str, str]:
    tests = {"AIRFLOW_TEST_DEPS": _words(settings.ci_test_packages)}
    if not checkout:
        airflow = settings.airflow_for(python)
        extras = _extras(settings, ImageKind.CI, airflow)
        mount = {"AIRFLOW_SOURCES": "mount"} if settings.sources == "mount" else {}
        return {**mount, "AIRFLOW_VERSION": airflow, "AIRFLOW_EXTRAS": extras, **tests}
    return {
        "AIRFLOW_SOURCES": settings.sources,
        "AIRFLOW_EDITABLE": "true",
        "AIRFLOW_VERSION": checkout.version,
        "AIRFLOW_EXTRAS": ",".join(checkout.extras),
        **tests,
    }


def _prod(settings: Settings, installation: Installation) -> dict[str, str]:
    from_sources = settings.constraints_mode == "constraints-source-providers"
    return {
        "AIRFLOW_VERSION": installation.version,
        "AIRFLOW_EXTRAS": _extras(settings, ImageKind.PROD, installation.version),
        "AIRFLOW_INSTALLATION_METHOD": installation.method,
        "AIRFLOW_PROVIDERS_FROM_SOURCES": "true" if from_sources else "",
        "AIRFLOW_CONSTRAINTS": settings.constraints_mode,
        "AIRFLOW_PIP_VERSION": settings.pip_version,
        "AIRFLOW_UID": str(settings.prod_uid),
        "AIRFLOW_HOME": settings.prod_home,
        "AIRFLOW_USER_HOME_DIR": settings.prod_user_home,
        "AIRFLOW_BYTECODE": settings.prod_bytecode,
    }


def _debian_packages(
    python: str, settings: Settings, kind: ImageKind, airflow: str
) -> tuple[str, str]:
    """Return the Debian packages for building and for running; a CI image has all at once."""
    own, runtime = (
        requirement_files.debian_packages(settings, f"dependencies.apt-{stage}", python)
        for stage in ("dev", "runtime")
    )
    needed = extras.debian_packages(settings, kind, python, airflow)
    build = [name for one in needed for name in one.build]
    run = [name for one in needed for name in one.runtime]
    if kind is ImageKind.CI:
        return " ".join(dict.fromkeys([*build, *run, *own])), ""
    clients = [name for client in profiles.clients(settings) for name in CLIENTS[client]]
    run = [*profiles.programs(settings), *clients, *run, *runtime]
    return " ".join(dict.fromkeys([*build, *own])), " ".join(dict.fromkeys(run))


def _extras(settings: Settings, kind: ImageKind, airflow: str) -> str:
    return ",".join(profiles.names(profiles.extras(settings, kind, airflow)))


def _words(items: Iterable[str]) -> str:
    """Return requirements and options as words that xargs reads; those with spaces are quoted."""
    words = (word for item in items for word in requirement_files.words(item))
    return " ".join(shlex.quote(word) if re.search(r"[\s'\"\\]", word) else word for word in words)
