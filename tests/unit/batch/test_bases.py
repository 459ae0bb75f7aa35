"""Builds that stand on what other builds of the same run have made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import specs

from build_tasks.batch import bases
from build_tasks.batch.bases import MadeImage
from build_tasks.buildx.toolchain import Client
from build_tasks.model.build import BuildSpec, Output

DIGEST = f"sha256:{'1' * 64}"
BASE = "r/prod/python3.11"
TAG = f"{BASE}:latest"
BY_DIGEST = f"{TAG}@{DIGEST}"


def client(store: str = "io.containerd.snapshotter.v1") -> Client:
    """Return a client of an engine with some store of images."""
    made = Client("docker", ("docker-buildx",), {})
    vars(made)["facts"] = {"DriverStatus": [["driver-type", store]]}
    return made


def own() -> BuildSpec:
    """Return a build of an own image, as it is planned."""
    labels = (("org.opencontainers.image.base.name", TAG),)
    return specs.make(
        name="dags",
        arguments=(("AIRFLOW_IMAGE", TAG),),
        base_argument="AIRFLOW_IMAGE",
        labels=labels,
        needs="prod-3.11-amd64",
    )


@pytest.mark.parametrize(
    ("made", "base", "context", "pull"),
    [
        ({"kind": Output.PUSH}, BY_DIGEST, "", True),
        ({"kind": Output.DIGEST}, BY_DIGEST, "", True),
        ({"kind": Output.PUSH, "source": f"{BASE}@{DIGEST}"}, BY_DIGEST, "", True),
        ({}, BY_DIGEST, "", False),
        ({"layout": Path("/l/p")}, TAG, f"oci-layout:///l/p@{DIGEST}", True),
        ({"kind": Output.NONE, "layout": Path("/l/p")}, TAG, f"oci-layout:///l/p@{DIGEST}", True),
        ({"source": "m/x@sha256:2"}, TAG, "docker-image://m/x@sha256:2", True),
    ],
)
def test_the_image_is_taken_by_its_digest_from_where_it_is(
    made: dict[str, Any], base: str, context: str, pull: bool
) -> None:
    source = made.get("source", "")
    fields = {name: value for name, value in made.items() if name != "source"}
    spec = bases.stand_on(client(), own(), MadeImage(specs.make(**fields), DIGEST, source))
    assert dict(spec.inputs.final_arguments)["AIRFLOW_IMAGE"] == base
    assert (spec.inputs.base_context, spec.inputs.pull) == (context, pull)
    assert dict(spec.inputs.labels) == {
        "org.opencontainers.image.base.name": TAG,
        "org.opencontainers.image.base.digest": DIGEST,
    }


def test_a_classic_store_has_no_digest_of_what_was_built() -> None:
    spec = bases.stand_on(client("overlay2"), own(), MadeImage(specs.make(), DIGEST))
    assert (spec.inputs.base, spec.inputs.pull) == (TAG, False)


def test_another_attempt_stands_on_the_image_that_was_made_last() -> None:
    first = bases.stand_on(client(), own(), MadeImage(specs.make(), DIGEST))
    again = bases.stand_on(client(), first, MadeImage(specs.make(), "sha256:2"))
    assert again.inputs.base == f"{BASE}:latest@sha256:2"
    names = [name for name, _ in again.inputs.labels]
    assert names.count("org.opencontainers.image.base.digest") == 1


def test_layouts_are_of_a_run_and_go_with_it(tmp_path: Path) -> None:
    planned = [specs.make(layout=tmp_path / "layouts" / "prod"), specs.make()]
    of_run = bases.of_run(planned, "run")
    assert [spec.output.layout for spec in of_run] == [tmp_path / "layouts" / "run" / "prod", None]
    folder = tmp_path / "layouts" / "run" / "prod"
    folder.mkdir(parents=True)
    (tmp_path / "layouts" / "other").mkdir()
    bases.remove_layouts(of_run)
    assert [path.name for path in (tmp_path / "layouts").iterdir()] == ["other"]
