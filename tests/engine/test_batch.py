"""Both images with several Pythons at once on the real engine, with failures."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from registry_proxy import Proxy, proxied
from suite import PATIENCE, Suite, last

from build_tasks.engine.state import EmbeddedEngine

PYTHONS = ("3.9", "3.11", "3.13")
SMALL = """\
ARG BASE_IMAGE=scratch
FROM {base} AS main
ARG AIRFLOW_PYTHON_VERSION
RUN echo "{kind} ${{AIRFLOW_PYTHON_VERSION}}" > /x
ARG COMMIT_SHA=""
{more}
"""
EXTRA = """\
RUN if [ "${AIRFLOW_PYTHON_VERSION}" = 3.13 ]; then echo "no extra nonsense" >&2; exit 3; fi
"""


def small(project: Suite, *, prod_base: str = "${BASE_IMAGE}", prod: str = "") -> None:
    """Replace the Dockerfiles by ones that take no time."""
    ci = SMALL.format(base="${BASE_IMAGE}", kind="ci", more="")
    (project.root / "Dockerfile.ci").write_text(ci)
    text = SMALL.format(base=prod_base, kind="prod", more=prod)
    (project.root / "Dockerfile").write_text(f"ARG AIRFLOW_PYTHON_VERSION\n{text}")


def rows(text: str) -> dict[str, list[str]]:
    """Return the cells of each row of the table of outcomes."""
    lines = text[text.rindex("\nbuild ") + 1 :].splitlines()[1:]
    table = itertools.takewhile(re.compile(r"(ci|prod)-[\w.-]+ ").match, lines)
    return {line.split()[0]: re.split(r" {2,}", line)[1:] for line in table}


def said(buildx: Suite, reference: str, how: str) -> dict[str, Any]:
    """Return what buildx says of an image in a registry."""
    text = buildx.engine(
        "imagetools", "inspect", "--builder", "default", "--format", how, reference
    )
    answer: dict[str, Any] = json.loads(text)
    return answer


def platforms(buildx: Suite, reference: str) -> list[str]:
    """Return the digests of an image's platforms, without what attests them."""
    held = said(buildx, reference, "{{json .Manifest}}")["manifests"]
    return [one["digest"] for one in held if one["platform"]["os"] == "linux"]


def holds_what_it_says(buildx: Suite, proxy: Proxy, engine: EmbeddedEngine, row: list[str]) -> None:
    """Check that the registry has what a row of the table says was pushed."""
    _, tag, digest = row[3].split()
    tag = tag.replace(proxy.address, engine.registry)
    image = tag.rpartition(":")[0]
    assert platforms(buildx, f"{image}@{digest}") == platforms(buildx, tag)


def test_one_of_several_builds_is_retried_and_one_fails(
    project: Suite, buildx: Suite, engine: EmbeddedEngine
) -> None:
    pythons = ("3.11", "3.13")
    # Only CI's bases come through the proxy, so that the fault meets one build.
    prod_base = f"{engine.registry}/debian-python:${{AIRFLOW_PYTHON_VERSION}}"
    small(project, prod_base=prod_base, prod=EXTRA)
    with proxied(engine.registry) as proxy:
        fault = proxy.fault(r"debian-python/manifests/3\.11", status=503, times=2)
        base = ("--base-image", f"{proxy.address}/debian-python:{{python}}")
        for python in pythons:  # the engine makes those that it lacks
            project.good("image.build", "--python", python)
        done = project.invoke(
            *("image.build", "--kind", "ci,prod", "--python", ",".join(pythons), "--push", *base)
        )
        assert done.returncode == 10, done.stderr[-3000:]
        assert fault.happened == 2
        table = rows(done.stderr)
        assert list(table) == [f"{kind}-{one}-amd64" for kind in ("ci", "prod") for one in pythons]
        bad = table.pop("prod-3.13-amd64")
        assert bad[0] == "failed (step)"
        assert bad[2] == "1"
        assert bad[3].startswith("no extra nonsense (step ")
        assert {row[0] for row in table.values()} == {"built"}
        tries = {name: int(row[2]) for name, row in table.items()}
        assert tries.pop("ci-3.11-amd64") in {2, 3}  # an answer can be lost to HEAD and to GET
        assert set(tries.values()) == {1}
        for row in table.values():
            holds_what_it_says(buildx, proxy, engine, row)
    assert last(done.stderr).startswith("prod-3.13-amd64: no extra nonsense (step ")
    log = re.search(r"prod-3.13-amd64: its log is (?P<path>\S+)", done.stderr)
    assert log
    assert "no extra nonsense" in Path(log["path"]).read_text()


@pytest.mark.nightly
def test_a_failed_push_of_real_images_stops_no_other(
    suite: Suite, buildx: Suite, engine: EmbeddedEngine
) -> None:
    with proxied(engine.registry) as proxy:
        proxy.fault(r"debian-python/manifests/3\.9", status=503, times=2)
        proxy.fault(r"prod/python3\.13/", method="PUT|POST|PATCH", status=403)
        for python in PYTHONS:
            suite.good("image.build", "--python", python)
        done = suite.nox(
            *("build_all", "--python", ",".join(PYTHONS), "--push", "--registry", proxy.address),
            *("--base-image", f"{proxy.address}/debian-python:{{python}}"),
        )
        assert done.returncode == 1  # nox has no other code for a session that failed
        table = rows(done.stderr)
        assert table.pop("prod-3.13-amd64")[0] == "failed (auth)"
        assert sum(int(row[2]) for row in table.values()) in {6, 7}
        assert {row[0] for row in table.values()} == {"built"}
        for row in table.values():
            holds_what_it_says(buildx, proxy, engine, row)


def test_bake_makes_the_same_images_from_the_plan(
    project: Suite, buildx: Suite, tmp_path: Path
) -> None:
    small(project)
    options = ("--kind", "ci,prod", "--python", "3.11,3.13", "--push")
    built = project.good("image.build", *options)
    tags = [row[3].split()[1] for row in rows(built.stderr).values() if row[0] == "built"]
    before = {tag: platforms(buildx, tag) for tag in tags}
    labels = {tag: labels_of(buildx, tag) for tag in tags}
    plan = project.good("bake", *options)
    command = shlex.split(last(plan.stderr).rpartition(" < ")[0])
    baked = subprocess.run(
        [*command, "--progress", "plain"],
        input=plan.stdout,
        cwd=tmp_path,
        env=dict(project.environment),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert baked.returncode == 0, baked.stderr[-3000:]
    assert len(tags) == 4
    assert {tag: platforms(buildx, tag) for tag in tags} == before
    assert {tag: labels_of(buildx, tag) for tag in tags} == labels
    assert len(re.findall(r"^#\d+ CACHED$", baked.stderr, re.MULTILINE)) >= len(tags)
    assert not re.search(r"^#\d+ \d+\.\d+ ", baked.stderr, re.MULTILINE)  # no step said anything


def labels_of(buildx: Suite, reference: str) -> dict[str, str]:
    """Return an image's labels."""
    labels: dict[str, str] = said(buildx, reference, "{{json .Image}}")["config"]["Labels"]
    assert labels["org.apache.airflow.image"]
    return labels


def test_a_build_without_a_base_image_stops_no_other(
    project: Suite, engine: EmbeddedEngine, base: str
) -> None:
    if engine.hub:
        pytest.skip("Docker Hub, which has every base, can be reached")
    small(project)
    done = project.invoke("image.build", "--kind", "ci", "--python", "3.10,3.11")
    assert done.returncode == 3, done.stderr[-2000:]
    assert base.endswith(":3.11")
    found = {line.split()[0]: line for line in done.stderr.splitlines() if line.startswith("ci-3.")}
    assert " built " in found["ci-3.11-amd64"]
    assert "its log is" not in done.stderr, "it has none"
    assert last(done.stderr).startswith("no base image for Python 3.10: Docker Hub is out of reach")
