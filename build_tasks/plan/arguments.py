"""Build arguments of the Dockerfiles, in their order."""

from __future__ import annotations

from build_tasks.config.parsing import CLIENTS
from build_tasks.config.settings import Settings
from build_tasks.constraints import indexes
from build_tasks.errors import UsageError
from build_tasks.model.aliases import Pairs
from build_tasks.model.labels import Revision
from build_tasks.plan.airflow_source import Installation
from build_tasks.text.redaction import is_secret_name, redact


def arguments(
    python: str, settings: Settings, installation: Installation | None, revision: Revision
) -> Pairs:
    """Return the build arguments of an image; empty ones are left to the Dockerfile.

    A CI image has no `installation`.

    Raises:
        UsageError: a value is or holds a secret, like a token as the build id.
    """
    table = {
        "AIRFLOW_PYTHON_VERSION": python,
        "AIRFLOW_UV_VERSION": settings.uv_version,
        "AIRFLOW_UV_OPTIONS": " ".join(indexes.options(settings)),
        "AIRFLOW_UV_PRERELEASE": settings.uv_prerelease,
        "ADDITIONAL_DEV_APT_DEPS": " ".join(settings.dependencies_apt_dev),
        "ADDITIONAL_PYTHON_DEPS": " ".join(settings.dependencies_python),
        **(_prod(settings, installation) if installation else _ci(python, settings)),
        # What changes with every commit comes last, as in the Dockerfiles.
        "BUILD_ID": revision.build_id,
        "COMMIT_SHA": revision.commit,
    }
    pairs = tuple((name, value) for name, value in table.items() if value)
    refuse_secrets(pairs)
    return pairs


def refuse_secrets(pairs: Pairs) -> None:
    """Raise UsageError if a build argument is or holds a secret: it would stay in the image."""
    for name, value in pairs:
        if is_secret_name(name) or redact(value) != value:
            raise UsageError(
                f"build argument {name}: {redact(value)!r}: holds a secret, which would stay in "
                "the image: leave it out, or pass it as a BuildKit secret"
            )


def _ci(python: str, settings: Settings) -> dict[str, str]:
    return {
        "AIRFLOW_VERSION": settings.airflow_for(python),
        "AIRFLOW_EXTRAS": ",".join(settings.airflow_extras),
        "AIRFLOW_TEST_DEPS": " ".join(settings.ci_test_packages),
    }


def _prod(settings: Settings, installation: Installation) -> dict[str, str]:
    from_sources = settings.constraints_mode == "constraints-source-providers"
    clients = () if settings.prod_slim else settings.prod_clients
    runtime = [package for client in clients for package in CLIENTS[client]]
    return {
        "AIRFLOW_VERSION": installation.version,
        "AIRFLOW_EXTRAS": "" if settings.prod_slim else ",".join(settings.airflow_extras),
        "AIRFLOW_INSTALLATION_METHOD": installation.method,
        "AIRFLOW_PROVIDERS_FROM_SOURCES": "true" if from_sources else "",
        "AIRFLOW_CONSTRAINTS": settings.constraints_mode,
        "AIRFLOW_PIP_VERSION": settings.pip_version,
        "ADDITIONAL_RUNTIME_APT_DEPS": " ".join([*runtime, *settings.dependencies_apt_runtime]),
    }
