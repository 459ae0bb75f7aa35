"""Labels of an image, annotations of a pushed one, and the revision that they name."""

from __future__ import annotations

from dataclasses import dataclass

from build_tasks.model.aliases import Pairs
from build_tasks.model.matrix import Build, ImageKind

#: The id of the user airflow, where the settings name no other.
UID = 50000
_OCI = "org.opencontainers.image."
_TEXTS = {
    ImageKind.CI: ("airflow-ci", "Airflow CI image", "Apache Airflow with a test toolchain"),
    ImageKind.PROD: ("airflow", "Airflow PROD image", "Apache Airflow, ready to be deployed"),
}


@dataclass(frozen=True)
class Revision:
    """A commit and the run that builds from it; what is unknown is empty.

    Args:
        commit: the full hash.
        date: the commit's date in ISO 8601. The image has the same, so that equal inputs give an
            equal image.
        build_id: the id of the CI run.
    """

    commit: str = ""
    date: str = ""
    build_id: str = ""


def labels(
    build: Build, *, airflow: str, base_image: str, revision: Revision, uid: int = UID
) -> Pairs:
    """Return an image's labels; those without a value are left out.

    The names are those of the official images and of the OCI image specification ("Pre-Defined
    Annotation Keys"). The base image has a digest if the build stands on that one alone. An own
    image has its name besides, and Airflow's license is not the license of what it adds. An image
    into which another Dockerfile installs no release of Airflow says nothing of Airflow.
    """
    image, title, description = _TEXTS[build.kind]
    if build.name:
        title = build.name
        description = f"{title}, on top of Airflow's {build.kind.upper()} image"
    if not airflow:
        title, description = build.image_name, ""
    base_name, _, base_digest = base_image.partition("@")
    table = {
        "org.apache.airflow.component": "airflow" if airflow else "",
        "org.apache.airflow.image": image,
        "org.apache.airflow.image.name": build.name,
        "org.apache.airflow.distro": "debian" if airflow else "",
        "org.apache.airflow.module": "airflow" if airflow else "",
        "org.apache.airflow.uid": str(uid) if airflow else "",
        "org.apache.airflow.version": airflow,
        "org.apache.airflow.python.version": build.python,
        "org.apache.airflow.slim": "true" if build.slim else "",
        "org.apache.airflow.main-image.build-id": revision.build_id,
        "org.apache.airflow.main-image.commit-sha": revision.commit,
        f"{_OCI}base.digest": base_digest,
        f"{_OCI}base.name": base_name,
        f"{_OCI}created": revision.date,
        f"{_OCI}description": description,
        f"{_OCI}licenses": "Apache-2.0" if airflow and not build.name else "",
        f"{_OCI}revision": revision.commit,
        f"{_OCI}title": title,
        f"{_OCI}version": airflow,
    }
    # The base image is one of Airflow's, or may be: what is not said here would be inherited.
    inherits = bool(build.name) or not airflow
    emptied = {f"{_OCI}licenses", f"{_OCI}base.digest"} if inherits else set()
    return tuple((name, value) for name, value in table.items() if value or name in emptied)


def with_base(table: Pairs, digest: str) -> Pairs:
    """Return labels that name the digest of the base image."""
    name = f"{_OCI}base.digest"
    return (*((label, value) for label, value in table if label != name), (name, digest))


def annotated(table: Pairs) -> Pairs:
    """Return the labels that are also annotations of the manifest and its index."""
    return tuple((name, value) for name, value in table if name.startswith(_OCI) and value)
