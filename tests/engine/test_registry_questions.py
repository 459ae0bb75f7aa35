"""Questions to registries with faults: check, usage and merge say what is wrong, and soon."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from registry_proxy import FOREVER, Proxy, proxied
from suite import Suite, last

from build_tasks import digests
from build_tasks.digests import Part
from build_tasks.engine.handle import Embedded

DOCKERFILE = """\
ARG BASE_IMAGE=scratch
FROM ${BASE_IMAGE} AS main
RUN echo there > /there
"""
#: Seconds until something has to be said.
SOON = 15.0
#: Each fault of a registry, the exit code that it has to lead to, and the words.
FAULTS: dict[str, tuple[dict[str, Any], int, str]] = {
    "401": ({"status": 401}, 5, "no basic auth credentials"),
    "403": ({"status": 403}, 5, "403 Forbidden"),
    "429": ({"status": 429}, 4, "429 Too Many Requests"),
    "500": ({"status": 500}, 4, "500 Internal Server Error"),
    "html": ({"html": True}, 4, "a web page (HTML)"),
    "redirect": ({"redirect": True}, 4, "stopped after 10 redirects"),
    "reset": ({"reset": True}, 7, "connection reset by peer"),
    "cut": ({"cut": True}, 7, "EOF"),
    "silent": ({"stall": FOREVER}, 7, "did not answer within 10 s"),
    "digest": ({"digest": f"sha256:{'0' * 64}"}, 4, "not found: not found"),
}


@dataclass(frozen=True)
class Place:
    """An image and its cache, behind a proxy that fails when it is told to."""

    project: Suite
    proxy: Proxy
    part: Part
    digests: Path

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run a task, which has to have said something soon."""
        began = time.monotonic()
        done = self.project.invoke(*arguments)
        assert time.monotonic() - began < 2 * SOON
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def built(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> tuple[Suite, Path]:
    """A project whose image and cache are in the registry, and the folder of its digest."""
    folder = tmp_path_factory.mktemp("registry")
    project = suite.copy(folder / "project")
    (project.root / "Dockerfile.ci").write_text(DOCKERFILE)
    project = project.having(AIRFLOW_IMAGES_REPOSITORY=f"tests/{secrets.token_hex(4)}")
    build = ("image.build", "--python", "3.11")
    project.good(*build, "--push", "--push-cache")
    project.good(*build, "--push-by-digest", "--digests", str(folder / "digests"))
    return project, folder / "digests"


@pytest.fixture
def place(built: tuple[Suite, Path], engine: Embedded, tmp_path: Path) -> Iterator[Place]:
    project, folder = built
    (part,) = digests.read(folder)
    with proxied(engine.registry) as proxy:
        moved = json.loads((folder / f"{part.identity}.json").read_text())
        moved["image"] = moved["image"].replace(engine.registry, proxy.address)
        (tmp_path / f"{part.identity}.json").write_text(json.dumps(moved))
        named = project.having(AIRFLOW_IMAGES_REGISTRY=proxy.address)
        named = named.having(AIRFLOW_IMAGES_BASE_IMAGE=f"{engine.registry}/debian-python:3.11")
        yield Place(named, proxy, part, tmp_path)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_merge_says_what_is_wrong_with_the_registry(place: Place, fault: str) -> None:
    """It said that the registry had the image no more, or nothing for two minutes."""
    how, code, words = FAULTS[fault]
    happened = place.proxy.fault("/manifests/", **how)
    returncode, _, err = place.run(
        *("image.merge", "--kind", "ci", "--python", "3.11", "--platform", "linux/amd64"),
        *("--digests", str(place.digests)),
    )
    assert happened.happened
    assert returncode == code, err
    assert words in last(err)
    assert "no more" not in err


def test_a_merge_says_what_is_not_there(place: Place) -> None:
    place.proxy.fault("/manifests/", status=404)
    returncode, _, err = place.run(
        *("image.merge", "--kind", "ci", "--python", "3.11", "--platform", "linux/amd64"),
        *("--digests", str(place.digests)),
    )
    assert returncode == 4
    assert last(err).endswith(" no more: build it again")


@pytest.mark.parametrize("fault", FAULTS)
def test_usage_says_what_is_wrong_with_the_registry(place: Place, fault: str) -> None:
    """It said that there were no cache references, or nothing for two minutes."""
    how, code, words = FAULTS[fault]
    happened = place.proxy.fault("/manifests/", **how)
    returncode, out, err = place.run("cache.usage", "--remote", "--json")
    assert happened.happened
    assert returncode == code, err
    assert words in last(err)
    assert json.loads(out)["references"] == []


def test_usage_of_a_registry_that_lacks_some_references_is_no_fault(place: Place) -> None:
    returncode, out, _ = place.run("cache.usage", "--remote", "--json")
    assert returncode == 0
    (reference,) = json.loads(out)["references"]
    assert reference["reference"].endswith("/ci/python3.11:cache-linux-amd64")
    assert reference["layers"]


CHECK = ("image.check", "--kind", "ci", "--python", "3.11")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_check_says_what_is_wrong_with_the_registry(place: Place, fault: str) -> None:
    how, _, words = FAULTS[fault]
    happened = place.proxy.fault("/ci/python3.11/manifests/", **how)
    returncode, out, err = place.run(*CHECK, "--remote", "--fail")
    assert happened.happened
    assert returncode == 4, err
    assert "ci-3.11-amd64: not known\n  the registry did not answer: " in out
    assert words in out
