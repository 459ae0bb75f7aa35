"""An image of the main branch in the place of a build: taken where it is the same, else built.

Whatever is wrong with it, or with the registry, is one line, and then the build.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import teams
from registry_proxy import FOREVER, Proxy, proxied
from suite import ROOT, Suite, last

from build_tasks.buildx import imagetools
from build_tasks.engine import lifecycle
from build_tasks.engine.folders import engine_folders
from build_tasks.engine.state import EmbeddedEngine

DOCKERFILE = """\
ARG BASE_IMAGE
FROM scratch AS files
COPY sources/ /opt/airflow/
FROM ${BASE_IMAGE} AS main
COPY big /big
ENV PATH=/opt/bin:$PATH HOME="/home/air flow"
WORKDIR /opt/airflow
COPY --link --from=files /opt/ /opt/
USER 50000
ENTRYPOINT ["/run"]
CMD ["me"]
ARG COMMIT_SHA=""
ENV COMMIT_SHA=${COMMIT_SHA}
"""
BASE = 'FROM scratch\nCOPY sources/ /of-the-base/\nENV PATH=/bin LANG=C\nCMD ["sh"]\n'
ONE = ("--kind", "ci", "--python", "3.11")
TAKE = ("image.build", *ONE, "--reuse-from", "main", "--tag", "mine")


@dataclass(frozen=True)
class Team:
    """A small project, whose registry is a proxy."""

    suite: Suite
    engine: EmbeddedEngine
    proxy: Proxy

    @property
    def image(self) -> str:
        repository = self.suite.environment["AIRFLOW_IMAGES_REPOSITORY"]
        return f"{self.proxy.address}/{repository}/main/ci/python3.11"

    @property
    def cache(self) -> str:
        return f"{self.image}:cache-linux-amd64"

    @property
    def pushed(self) -> Path:
        """The file with the digest of what the main branch has pushed."""
        return self.suite.root / "pushed"

    def tagged(self) -> str:
        return f"{self.image}:latest"

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.suite.having(**environment).run("invoke", *words)

    def good(self, *words: str, **environment: str) -> str:
        done = self.run(*words, **environment)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stderr

    def refused(self, *words: str) -> str:
        """Build although there is an image to take, and return the one line that says why."""
        said = self.good(*(words or TAKE))
        assert "ci-3.11-amd64: loaded " in last(said), said
        lines = [line for line in said.splitlines() if "reused" in line]
        assert len(lines) == 1, said
        return lines[0].partition("not reused: ")[2]

    def renew(self) -> None:
        """Push an image and a cache with a layer that no engine has seen."""
        (self.suite.root / "big").write_bytes(secrets.token_bytes(2_000_000))
        self.good("image.push", *ONE, "--push-cache")
        self.pushed.write_text(self.digest())

    def forget(self) -> None:
        """Let the engine have neither the images nor the steps."""
        self.good("cache.prune", "--all")
        names = self.suite.engine("image", "ls", "--quiet", "--no-trunc", self.image).split()
        for name in {*names}:  # at the end: this waits until what nothing holds is gone
            self.suite.engine("image", "rm", "--force", name)

    def buildx(self, *words: str) -> str:
        done = subprocess.run(
            [str(self.engine.buildx), *words],
            env=dict(self.suite.tools) | {"DOCKER_HOST": self.engine.host},
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def push(self, dockerfile: str, reference: str, *options: str) -> None:
        """Push what somebody else made."""
        file = self.suite.root / "else"
        file.write_text(dockerfile)
        (self.suite.root / "else.dockerignore").write_text("*\n!big\n!sources\n")
        output = "type=image,push=true,unpack=false,store=false,oci-mediatypes=true"
        zstd = "compression=zstd,compression-level=1"
        self.buildx(
            *("build", "--output", f"{output},{zstd}", "--provenance", "false", *options),
            *("--tag", reference, "--file", str(file), str(self.suite.root)),
        )

    def digest(self) -> str:
        return imagetools.digest_of(self.buildx("imagetools", "inspect", "--raw", self.tagged()))

    def big(self) -> str:
        """Return the digest of the largest layer."""
        manifest = json.loads(self.buildx("imagetools", "inspect", "--raw", self.cache))
        return str(max(manifest["layers"], key=lambda layer: int(layer["size"]))["digest"])

    def labels(self) -> list[str]:
        """Return the options that give another image the labels of the real one."""
        words = ("imagetools", "inspect", "--format", "{{json .Image}}", self.tagged())
        table = json.loads(self.buildx(*words))["config"]["Labels"]
        return [word for pair in table.items() for word in ("--label", "=".join(pair))]


@pytest.fixture(scope="module")
def own(
    suite: Suite, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Suite, EmbeddedEngine]]:
    """The suite on an engine of its own: each test empties it, and others need theirs."""
    cache, packages = tmp_path_factory.mktemp("own"), engine_folders().home / "packages"
    (cache / "engine").mkdir()
    (cache / "engine/packages").symlink_to(packages)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_IMAGES_CACHE", str(cache))
        engine = lifecycle.start(announce=print)
        docker = (str(engine.docker), "--host", engine.host)
        here = replace(suite, docker=docker, config=engine.environment["DOCKER_CONFIG"])
        yield here.having(AIRFLOW_IMAGES_CACHE=str(cache)), engine
        lifecycle.stop(announce=print)


@pytest.fixture(scope="module")
def team(
    own: tuple[Suite, EmbeddedEngine], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Team]:
    """A project whose main branch has pushed its image and its cache."""
    suite, engine = own
    home = tmp_path_factory.mktemp("reuse")
    folder = teams.make(home / "team", "")
    (folder / "Dockerfile.ci").write_text(DOCKERFILE)
    (folder / ".dockerignore").write_text("*\n!big\n!sources\n!constraints\n")
    (folder / "sources").mkdir()
    (folder / "sources/mine.py").write_text("print('mine')\n")
    repository = f"tests/reuse-{secrets.token_hex(4)}"
    with proxied(engine.registry) as proxy:
        base = f"{proxy.address}/{repository}/base:1"
        environment = {
            "AIRFLOW_IMAGES_REGISTRY": proxy.address,
            "AIRFLOW_IMAGES_REPOSITORY": repository,
            "AIRFLOW_IMAGES_BASE_IMAGE": base,
            "PYTHONPATH": str(ROOT),
        }
        team = Team(suite.at(folder).having(**environment), engine, proxy)
        team.push(BASE, base)
        team.renew()
        yield team


@pytest.fixture(autouse=True)
def whole(team: Team) -> Iterator[None]:
    """The registry as it was, before an engine that has nothing."""
    team.forget()
    yield
    team.proxy.clear()
    if team.digest() != team.pushed.read_text():
        image = f"{team.image}@{team.pushed.read_text()}"
        team.buildx("imagetools", "create", "--tag", team.tagged(), image)


def test_the_image_of_main_is_taken_and_it_is_said_where_from(team: Team, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    team.proxy.reset()
    said = last(team.good(*TAKE, GITHUB_STEP_SUMMARY=str(summary)))
    index = json.loads(team.buildx("imagetools", "inspect", "--raw", team.tagged()))
    digest = index["manifests"][0]["digest"]
    taken = f"reused {team.image}@{digest}: its inputs, base image and platform are the same"
    assert said.startswith(f"ci-3.11-amd64: {taken}")
    assert said.endswith(f"; loaded as {team.image}:mine")
    assert 2_000_000 < team.proxy.traffic().pulled < 2_100_000
    facts = json.loads(team.suite.engine("image", "inspect", f"{team.image}:mine"))[0]
    assert facts["Config"]["Entrypoint"] == ["/run"]
    for words in (("image.report",), ("image.explain",), ("image.report", "--format", "junit")):
        assert taken in team.run(*words).stdout
    written = summary.read_text()
    assert "reused" in written
    assert written.count(digest.removeprefix("sha256:")) == 2
    (record,) = json.loads(team.run("image.report", "--json").stdout)["builds"]
    assert (record["outcome"], record["digest"], record["steps"]) == ("skipped", digest, [])
    assert record["reuse"][0]["reference"] == team.tagged()
    pushed = last(team.good("image.push", *ONE, "--tag", "new", "--reuse-from", "main"))
    assert pushed == f"ci-3.11-amd64: unchanged, tagged {team.image}:new {digest}"


def test_a_stale_image_is_not_taken(team: Team) -> None:
    source = team.suite.root / "sources/mine.py"
    text = source.read_text()
    try:
        source.write_text("print('edited')\n")
        why = team.refused()
    finally:
        source.write_text(text)
    assert why == f"{team.tagged()}: changed since it was built: files"
    assert f"not reused: {why}" in team.run("image.report").stdout
    assert f"not reused: {why}" in team.run("image.explain").stdout
    team.suite.engine("image", "rm", "--force", f"{team.image}:mine")
    missing = team.refused(*TAKE, "--branch", "v3-1-test")
    assert missing.endswith("/v3-1-test/ci/python3.11:latest: not found")


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("COPY big /big", "COPY sources/mine.py /big", "its layer sha256:"),
        pytest.param(
            *("COPY --link --from=files /opt/ /opt/\n", "", "it has 3 layers, not 1 of the base"),
            marks=pytest.mark.nightly,
        ),
        pytest.param(
            *(
                'ENTRYPOINT ["/run"]',
                'ENTRYPOINT ["/evil"]',
                "is not the Dockerfile's: Entrypoint (",
            ),
            marks=pytest.mark.nightly,
        ),
        pytest.param(
            *("ENV PATH", "ENV LD_PRELOAD=/evil.so PATH", "is not the Dockerfile's: Env ("),
            marks=pytest.mark.nightly,
        ),
    ],
)
def test_an_image_with_a_forged_label_is_not_taken(
    team: Team, before: str, after: str, why: str
) -> None:
    labels = team.labels()
    assert before in DOCKERFILE
    base = f"BASE_IMAGE={team.suite.environment['AIRFLOW_IMAGES_BASE_IMAGE']}"
    forged = DOCKERFILE.replace(before, after)
    team.push(forged, team.tagged(), *labels, "--build-arg", base, "--cache-from", team.cache)
    assert why in team.refused()


def test_an_image_for_another_platform_is_not_taken(team: Team) -> None:
    labels = team.labels()
    team.push(BASE, team.tagged(), *labels, "--platform", "linux/arm64")
    assert team.refused().endswith(": has no image for linux/amd64, only for linux/arm64")


def test_an_image_that_does_not_come_in_time_is_not_waited_for(team: Team) -> None:
    team.renew()  # what an engine begins to pull, it keeps for a while
    team.forget()
    team.proxy.fault(f"/blobs/{team.big()}", stall=FOREVER, times=1)
    began = time.monotonic()
    assert "it was not there within " in team.refused(*TAKE, "--reuse-deadline", "3")
    assert time.monotonic() - began < 90


@pytest.mark.parametrize(
    "how",
    [
        {"status": 404},
        pytest.param({"cut": True}, marks=pytest.mark.nightly),
        pytest.param({"corrupt": True}, marks=pytest.mark.nightly),
    ],
)
def test_a_half_written_image_is_not_taken(team: Team, how: dict[str, Any]) -> None:
    team.renew()
    team.forget()
    team.proxy.fault(f"/blobs/{team.big()}", **how)
    why = team.refused()
    assert "in the cache" not in why
    assert "within" not in why


def test_an_index_without_its_image_is_not_taken(team: Team) -> None:
    index = json.loads(team.buildx("imagetools", "inspect", "--raw", team.tagged()))
    team.proxy.fault(f"/(manifests|blobs)/{index['manifests'][0]['digest']}", status=404)
    assert team.refused().endswith(": not found")
