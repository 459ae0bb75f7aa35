"""Who writes what into the registry, seen in the registry itself."""

from __future__ import annotations

import http
import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from suite import Suite, last, steps

from build_tasks.engine import credentials
from build_tasks.engine.folders import engine_folders
from build_tasks.engine.state import EmbeddedEngine

DOCKERFILE = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE} AS build
RUN echo one > /one
FROM ${BASE_IMAGE} AS main
COPY --from=build /one /one
COPY sources/ /sources/
"""
BUILD = ("image.build", "--python", "3.11", "--progress", "rawjson")


@pytest.fixture
def small(project: Suite) -> Suite:
    (project.root / "Dockerfile.ci").write_text(DOCKERFILE)
    return project


def listing(engine: EmbeddedEngine) -> dict[str, dict[str, str]]:
    """Return what a registry has: each repository's tags with their digests."""

    def ask(path: str, accept: str = "*/*") -> tuple[dict[str, object], str]:
        request = urllib.request.Request(
            f"http://{engine.registry}/v2/{path}",
            headers={
                "Accept": accept,
                "Authorization": credentials.authorization(engine_folders()),
            },
        )
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310 - the same
                return json.load(answer), answer.headers.get("Docker-Content-Digest", "")
        except urllib.error.HTTPError as error:
            # A push that broke off leaves a repository that has layers and no manifest.
            if error.code != http.HTTPStatus.NOT_FOUND:
                raise
            return {"tags": []}, ""

    names = ask("_catalog?n=1000")[0]["repositories"]
    assert isinstance(names, list)
    found = {}
    for name in names:
        tags = ask(f"{name}/tags/list")[0]["tags"] or []
        assert isinstance(tags, list)
        types = (
            "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
            "application/vnd.docker.distribution.manifest.v2+json, "
            "application/vnd.docker.distribution.manifest.list.v2+json"
        )
        found[name] = {tag: ask(f"{name}/manifests/{tag}", types)[1] for tag in tags}
    return found


def test_an_untrusted_run_writes_nothing_and_reads_what_trusted_ones_wrote(
    small: Suite, engine: EmbeddedEngine
) -> None:
    small.good(*BUILD, "--push", "--push-cache")
    small.good("cache.prune", "--all")
    before = listing(engine)
    ours = f"{small.environment['AIRFLOW_IMAGES_REPOSITORY']}/main/ci/python3.11"
    assert set(before[ours]) >= {"latest", "cache-linux-amd64"}
    (small.root / "sources/stray.py").write_text("STRAY = 1\n")
    for options in (("--push", "--push-cache"), ("--push-by-digest", "--cache-to", f"{ours}:x")):
        done = small.having(AIRFLOW_IMAGES_TRUSTED="0").invoke(*BUILD, *options)
        assert done.returncode == 0, done.stderr[-2000:]
        assert "images and caches are not written: this run is not trusted" in done.stderr
        assert listing(engine) == before
        ran = [step.name for step in steps(done.stderr) if not step.cached]
        assert "RUN echo one > /one" not in ran, done.stderr


def test_a_branch_has_a_cache_of_its_own_and_falls_back_to_mains(
    small: Suite, engine: EmbeddedEngine, tmp_path: Path
) -> None:
    small.good(*BUILD, "--push-cache")
    repository = small.environment["AIRFLOW_IMAGES_REPOSITORY"]
    main = listing(engine)[f"{repository}/main/ci/python3.11"]["cache-linux-amd64"]
    feature = small.having(AIRFLOW_IMAGES_CACHE_BRANCH="Feature/1")
    small.good("cache.prune", "--all")
    done = feature.good(*BUILD, "--push", "--push-cache")
    assert len(steps(done.stderr)) == 3
    assert [step for step in steps(done.stderr) if not step.cached] == []
    (feature.root / "sources/dags/more.py").write_text("MORE = 1\n")
    feature.good(*BUILD, "--push-cache")
    now = listing(engine)
    assert now[f"{repository}/main/ci/python3.11"]["cache-linux-amd64"] == main
    (own,) = [name for name in now if name.startswith(f"{repository}/feature-1-")]
    assert set(now[own]) == {"cache-linux-amd64"}
    small.good("cache.prune", "--all")
    again = feature.good(*BUILD)
    assert [step for step in steps(again.stderr) if not step.cached] == []


def test_a_release_takes_nothing_over(small: Suite) -> None:
    small.good(*BUILD, "--push-cache")
    small.good("cache.prune", "--all")
    done = small.good(*BUILD, "--cache-imports", "none")
    assert "importing cache manifest" not in done.stderr
    assert "RUN echo one > /one" in [step.name for step in steps(done.stderr) if not step.cached]
    assert "ci-3.11-amd64: loaded " in last(done.stderr)
