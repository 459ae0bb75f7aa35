from __future__ import annotations

from build_tasks.model import labels
from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.model.revision import Revision

BUILD = Build(ImageKind.PROD, "3.11", Platform.ARM64)
REVISION = Revision("abc", "2026-01-02T03:04:05+00:00", "7")


def table(build: Build = BUILD, revision: Revision = REVISION) -> dict[str, str]:
    return dict(labels.labels(build, airflow="3.3.2", base_image="b:1", revision=revision))


def test_an_image_says_what_it_is() -> None:
    said = table()
    prefix = "org.apache.airflow."
    assert said[f"{prefix}version"] == "3.3.2"
    assert said[f"{prefix}python.version"] == "3.11"
    assert said[f"{prefix}image"] == "airflow"
    assert said[f"{prefix}main-image.build-id"] == "7"
    assert said[f"{prefix}main-image.commit-sha"] == "abc"
    assert said["org.opencontainers.image.revision"] == "abc"
    assert said["org.opencontainers.image.created"] == "2026-01-02T03:04:05+00:00"
    assert said["org.opencontainers.image.base.name"] == "b:1"


def test_each_kind_has_its_name() -> None:
    ci = table(Build(ImageKind.CI, "3.9", Platform.AMD64))
    assert ci["org.apache.airflow.image"] == "airflow-ci"
    assert ci["org.opencontainers.image.title"] == "Airflow CI image"


def test_what_has_no_value_has_no_label() -> None:
    said = table(revision=Revision())
    assert not [name for name in said if "build-id" in name or "created" in name]
    assert all(said.values())
    assert "org.apache.airflow.slim" not in said
    slim = Build(ImageKind.PROD, "3.11", Platform.ARM64, slim=True)
    assert table(slim)["org.apache.airflow.slim"] == "true"


def test_registries_are_shown_the_oci_names_only() -> None:
    shown = dict(labels.annotated(tuple(table().items())))
    assert shown
    assert all(name.startswith("org.opencontainers.image.") for name in shown)
    assert not [name for name in table() if name not in shown and "opencontainers" in name]
