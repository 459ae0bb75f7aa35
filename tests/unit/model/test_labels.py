from __future__ import annotations

from build_tasks.model import labels
from build_tasks.model.labels import Revision
from build_tasks.model.matrix import Build, ImageKind, Platform

BUILD = Build(ImageKind.PROD, "3.11", Platform.ARM64)
REVISION = Revision("abc", "2026-01-02T03:04:05+00:00", "7")


def table(build: Build = BUILD, revision: Revision = REVISION) -> dict[str, str]:
    return dict(labels.labels(build, airflow="3.3.2", base_image="b:1", revision=revision))


def test_labels_describe_the_image() -> None:
    values = table()
    prefix = "org.apache.airflow."
    assert values[f"{prefix}version"] == "3.3.2"
    assert values[f"{prefix}python.version"] == "3.11"
    assert values[f"{prefix}image"] == "airflow"
    assert values[f"{prefix}main-image.build-id"] == "7"
    assert values[f"{prefix}main-image.commit-sha"] == "abc"
    assert values["org.opencontainers.image.revision"] == "abc"
    assert values["org.opencontainers.image.created"] == "2026-01-02T03:04:05+00:00"
    assert values["org.opencontainers.image.base.name"] == "b:1"


def test_each_kind_has_its_title() -> None:
    ci = table(Build(ImageKind.CI, "3.9", Platform.AMD64))
    assert ci["org.apache.airflow.image"] == "airflow-ci"
    assert ci["org.opencontainers.image.title"] == "Airflow CI image"


def test_an_own_image_has_its_name_and_title_and_no_license() -> None:
    own = table(Build(ImageKind.PROD, "3.11", Platform.ARM64, name="dags"))
    assert own["org.apache.airflow.image.name"] == "dags"
    assert own["org.apache.airflow.image"] == "airflow"
    assert own["org.opencontainers.image.title"] == "dags"
    assert "PROD" in own["org.opencontainers.image.description"]
    assert own["org.apache.airflow.version"] == "3.3.2"
    assert own["org.opencontainers.image.licenses"] == "", "PROD's would be inherited"
    pairs = labels.labels(
        Build(ImageKind.PROD, "3.11", Platform.ARM64, name="dags"),
        airflow="3",
        base_image="b",
        revision=REVISION,
        uid=1,
    )
    assert dict(pairs)["org.opencontainers.image.base.digest"] == ""
    assert all(dict(labels.annotated(pairs)).values())
    assert "org.apache.airflow.image.name" not in table()


def test_empty_values_have_no_label() -> None:
    values = table(revision=Revision())
    assert not [name for name in values if "build-id" in name or "created" in name]
    assert all(values.values())
    assert "org.apache.airflow.slim" not in values
    slim = Build(ImageKind.PROD, "3.11", Platform.ARM64, slim=True)
    assert table(slim)["org.apache.airflow.slim"] == "true"


def test_the_user_is_the_one_that_is_set() -> None:
    values = dict(labels.labels(BUILD, airflow="3", base_image="b", revision=REVISION, uid=1234))
    assert values["org.apache.airflow.uid"] == "1234"
    assert table()["org.apache.airflow.uid"] == "50000"


def test_annotations_are_the_oci_labels() -> None:
    annotated = dict(labels.annotated(tuple(table().items())))
    assert annotated
    assert all(name.startswith("org.opencontainers.image.") for name in annotated)
    assert not [name for name in table() if name not in annotated and "opencontainers" in name]
