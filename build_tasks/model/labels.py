"""The one table of what an image says of itself: labels, and annotations of what is pushed."""

from __future__ import annotations

from build_tasks.model.matrix import Build, ImageKind
from build_tasks.model.revision import Revision

_OCI = "org.opencontainers.image."
_TEXTS = {
    ImageKind.CI: ("airflow-ci", "Airflow CI image", "Apache Airflow with a test toolchain"),
    ImageKind.PROD: ("airflow", "Airflow PROD image", "Apache Airflow, ready to be deployed"),
}


def labels(
    build: Build, *, airflow: str, base_image: str, revision: Revision
) -> tuple[tuple[str, str], ...]:
    """Return an image's labels; those without a value are left out.

    The names are those of the official images and of the OCI image specification ("Pre-Defined
    Annotation Keys").

    Args:
        build: the image, its Python and its platform.
        airflow: the release of Airflow in it.
        base_image: the reference of the base image.
        revision: the commit that is built from, and the run that builds.
    """
    image, title, description = _TEXTS[build.kind]
    table = {
        "org.apache.airflow.component": "airflow",
        "org.apache.airflow.image": image,
        "org.apache.airflow.distro": "debian",
        "org.apache.airflow.module": "airflow",
        "org.apache.airflow.uid": "50000",
        "org.apache.airflow.version": airflow,
        "org.apache.airflow.python.version": build.python,
        "org.apache.airflow.slim": "true" if build.slim else "",
        "org.apache.airflow.main-image.build-id": revision.build_id,
        "org.apache.airflow.main-image.commit-sha": revision.commit,
        f"{_OCI}base.name": base_image,
        f"{_OCI}created": revision.date,
        f"{_OCI}description": description,
        f"{_OCI}licenses": "Apache-2.0",
        f"{_OCI}revision": revision.commit,
        f"{_OCI}title": title,
        f"{_OCI}version": airflow,
    }
    return tuple((name, value) for name, value in table.items() if value)


def annotated(table: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Return the labels that registries show, to be annotations of the manifest and its index."""
    return tuple((name, value) for name, value in table if name.startswith(_OCI))
