"""The build arguments of a Dockerfile, in its order."""

from __future__ import annotations

from build_tasks.config.parsing import CLIENTS
from build_tasks.config.settings import Settings
from build_tasks.errors import UsageError
from build_tasks.model.installation import Installation
from build_tasks.model.matrix import Build
from build_tasks.model.revision import Revision
from build_tasks.model.types import Pairs
from build_tasks.text.redaction import is_secret_name, redact


def arguments(
    build: Build,
    settings: Settings,
    *,
    base_image: str,
    installation: Installation | None,
    revision: Revision,
) -> tuple[tuple[str, str], ...]:
    """Return the Dockerfile's arguments for a build; empty ones are left to the Dockerfile.

    Args:
        build: the image, its Python and its platform.
        settings: what was set.
        base_image: the reference of the base image.
        installation: how Airflow gets into a PROD image.
        revision: the commit that is built from, and the run that builds.

    Raises:
        UsageError: a value is or holds a secret, like a token as the id of the build.
    """
    own = _of_prod(build, settings, installation) if installation else _of_ci(build, settings)
    given = {
        "BASE_IMAGE": base_image,
        "AIRFLOW_PYTHON_VERSION": build.python,
        "AIRFLOW_UV_VERSION": settings.uv_version,
        "ADDITIONAL_DEV_APT_DEPS": " ".join(settings.dependencies_apt_dev),
        "ADDITIONAL_PYTHON_DEPS": " ".join(settings.dependencies_python),
        **own,
        # What changes with every commit comes last, here as in the Dockerfile.
        "BUILD_ID": revision.build_id,
        "COMMIT_SHA": revision.commit,
    }
    table = tuple((name, value) for name, value in given.items() if value)
    refuse_secrets(table)
    return table


def refuse_secrets(table: Pairs) -> None:
    """Raise UsageError if a build argument is or holds a secret: it would stay in the image."""
    for name, value in table:
        if is_secret_name(name) or redact(value) != value:
            raise UsageError(
                f"build argument {name}: {redact(value)!r}: holds a secret, which would stay in "
                "the image: leave it out, or pass it as a BuildKit secret"
            )


def _of_ci(build: Build, settings: Settings) -> dict[str, str]:
    return {
        "AIRFLOW_VERSION": settings.airflow_for(build.python),
        "AIRFLOW_EXTRAS": ",".join(settings.airflow_extras),
        "AIRFLOW_TEST_DEPS": " ".join(settings.ci_test_packages),
    }


def _of_prod(build: Build, settings: Settings, installation: Installation) -> dict[str, str]:
    from_sources = installation.constraints == "constraints-source-providers"
    clients = () if build.slim else settings.prod_clients
    runtime = [package for client in clients for package in CLIENTS[client]]
    return {
        "AIRFLOW_VERSION": installation.version,
        "AIRFLOW_EXTRAS": "" if build.slim else ",".join(settings.airflow_extras),
        "AIRFLOW_INSTALLATION_METHOD": installation.method,
        "AIRFLOW_PROVIDERS_FROM_SOURCES": "true" if from_sources else "",
        "AIRFLOW_CONSTRAINTS": installation.constraints,
        "AIRFLOW_PIP_VERSION": settings.pip_version,
        "ADDITIONAL_RUNTIME_APT_DEPS": " ".join([*runtime, *settings.dependencies_apt_runtime]),
    }
