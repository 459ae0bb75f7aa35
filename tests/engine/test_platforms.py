"""Two platforms on two real nodes: one command, one image of exactly both, two whole caches."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from remote import remote
from suite import Suite, last, parsed

from build_tasks.engine import emulation, stand_ins
from build_tasks.engine.folders import Folders, engine_folders
from build_tasks.engine.state import EmbeddedEngine

pytestmark = pytest.mark.skipif(not emulation.native("amd64"), reason="emulates arm64 on amd64")

BUILDER = "two"
BOTH = "linux/amd64,linux/arm64"
SMALL = """\
ARG BASE_IMAGE=scratch
FROM ${BASE_IMAGE} AS build
RUN uname -m > /machine
FROM ${BASE_IMAGE} AS main
COPY --from=build /machine /machine
RUN cp /bin/true /usr/local/bin/payload
"""


@dataclass(frozen=True)
class Nodes:
    """The suite with a builder of two nodes, and what asks the registry."""

    suite: Suite
    plugin: Path
    host: str
    registry: str

    def buildx(self, *words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [self.plugin, *words],
            env={**self.suite.tools, "DOCKER_HOST": self.host},
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done

    def raw(self, reference: str) -> dict[str, Any]:
        inspect = ("imagetools", "inspect", "--builder", "default")
        answer: dict[str, Any] = json.loads(self.buildx(*inspect, "--raw", reference).stdout)
        return answer

    def digest(self, reference: str) -> str:
        inspect = ("imagetools", "inspect", "--builder", "default")
        answer: str = json.loads(
            self.buildx(*inspect, "--format", "{{json .Manifest.Digest}}", reference).stdout
        )
        return answer

    def image(self, kind: str) -> str:
        repository = self.suite.environment["AIRFLOW_IMAGES_REPOSITORY"]
        return f"{self.registry}/{repository}/main/{kind}/python3.11"

    def empty(self) -> None:
        """Leave both nodes nothing that was built."""
        for line in self.suite.engine("image", "ls", "--quiet").split():
            self.suite.engine("image", "rm", "--force", line)
        for builder in (BUILDER, "default"):
            self.suite.good("cache.prune", "--all", "--builder", builder)


def unpacked_base(engine: EmbeddedEngine) -> str:
    """Return a base image for both platforms that took seconds: its packages are not configured.

    To configure those of arm64 takes minutes of emulation; the nightly run does it.
    """
    name = f"{engine.registry}/unpacked-python:3.11"
    folder = '--extract-hook=mkdir --parents "$1/usr/local/bin"'  # which base-files makes
    unpack = ("--variant=extract", "--include=?essential", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stand_ins, "_MMDEBSTRAP", (*stand_ins._MMDEBSTRAP, *unpack))
        patch.setattr(stand_ins, "python_reference", lambda *_: name)
        return stand_ins.ensure_python(engine, "3.11", ["amd64", "arm64"], print)


@pytest.fixture(scope="module")
def two(
    suite: Suite, engine: EmbeddedEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Nodes]:
    """A builder of the user's own: two daemons, one for amd64, one for arm64 by emulation."""
    suite.good("engine.start", "--emulate", "arm64")
    base = unpacked_base(engine)
    folder = tmp_path_factory.mktemp("second")
    (folder / "engine").mkdir()
    (folder / "engine" / "packages").symlink_to(engine_folders().home / "packages")
    other = suite.having(AIRFLOW_IMAGES_CACHE=str(folder))
    other.good("engine.start", "--emulate", "arm64")
    mine = suite.having(
        BUILDX_CONFIG=str(tmp_path_factory.mktemp("buildx")), AIRFLOW_IMAGES_BASE_IMAGE=base
    )
    here = Nodes(mine, engine.buildx, engine.host, engine.registry)
    second = f"unix://{Folders(folder / 'engine').socket}"
    create = ("create", "--name", BUILDER, "--driver", "remote")
    try:
        with (
            remote(str(engine.buildx), {**suite.environment, "DOCKER_HOST": engine.host}) as amd64,
            remote(str(engine.buildx), {**suite.environment, "DOCKER_HOST": second}) as arm64,
        ):
            fast = ("--node", "fast", "--platform", "linux/amd64", amd64.endpoint)
            slow = ("--node", "slow", "--platform", "linux/arm64", arm64.endpoint)
            here.buildx(*create, *fast)
            here.buildx(*create, "--append", *slow)
            yield here
    finally:
        other.good("engine.stop", "--purge")


@pytest.fixture
def project(two: Nodes, tmp_path: Path) -> Suite:
    """A copy of the checkout with small Dockerfiles of two stages."""
    copy = two.suite.copy(tmp_path / "project")
    for name in ("Dockerfile", "Dockerfile.ci"):
        (copy.root / name).write_text(SMALL)
    return copy


def build(kind: str, *options: str, builder: str = BUILDER) -> tuple[str, ...]:
    selected = ("image.build", "--kind", kind, "--python", "3.11", "--platform", BOTH)
    return (*selected, "--builder", builder, *options)


def ran(events: str) -> list[str]:
    """Return the RUN steps of any stage that were not cached."""
    seen: dict[str, tuple[str, bool]] = {}
    for event in parsed(events):
        for vertex in event.get("vertexes", []):
            if "] RUN " in vertex.get("name", "") and vertex.get("started"):
                before = seen.get(vertex["digest"], ("", False))
                cached = bool(vertex.get("cached")) or before[1]
                seen[vertex["digest"]] = (vertex["name"], cached)
    return [name for name, cached in seen.values() if not cached]


def platforms(index: dict[str, Any]) -> list[str]:
    """Return the platforms of an index, attestations apart."""
    return [
        f"{one['platform']['os']}/{one['platform']['architecture']}"
        for one in index["manifests"]
        if "vnd.docker.reference.type" not in one.get("annotations", {})
    ]


def holds_both(two: Nodes, reference: str) -> None:
    index = two.raw(reference)
    assert sorted(platforms(index)) == ["linux/amd64", "linux/arm64"]
    assert len(index["manifests"]) == 4  # each with what attests how it was made
    assert index["annotations"]["org.opencontainers.image.title"].startswith("Airflow ")
    for platform in BOTH.split(","):
        check = ("--platform", platform, "--select", "for_the_platform")
        done = two.suite.good("image.verify", reference, *check)
        assert last(done.stderr).endswith(": passed 2 checks")


@pytest.mark.parametrize("kind", [pytest.param("ci", marks=pytest.mark.nightly), "prod"])
def test_one_command_makes_one_image_of_exactly_both(two: Nodes, project: Suite, kind: str) -> None:
    two.empty()
    push = build(kind, "--push", "--push-cache", "--tag", "t", "--progress", "rawjson")
    done = project.good(*push)
    assert len(ran(done.stderr)) == 4
    reference = f"{two.image(kind)}:t"
    made = f"merged linux/amd64, linux/arm64 as {reference} {two.digest(reference)}"
    assert made in done.stderr
    holds_both(two, reference)
    two.empty()
    again = project.good(*push)
    assert ran(again.stderr) == []
    of_it = ("--remote", "--kind", kind, "--python", "3.11", "--json")
    usage = json.loads(project.good("cache.usage", *of_it).stdout)
    assert len(usage["references"]) == 2
    assert {one["layers"] for one in usage["references"]} == {4}  # the base's 2, and each stage's
    assert all(one["newest"] for one in usage["references"])


def test_what_is_unchanged_for_both_is_tagged_as_a_whole(two: Nodes, project: Suite) -> None:
    project.good(*build("ci", "--push", "--tag", "whole"))
    digest = two.digest(f"{two.image('ci')}:whole")
    again = project.good(*build("ci", "--push", "--tag", "whole,next", "--skip-unchanged"))
    assert ": building and pushing " not in again.stderr
    assert f"unchanged, tagged {two.image('ci')}:whole, {two.image('ci')}:next" in again.stderr
    assert two.digest(f"{two.image('ci')}:next") == digest
    holds_both(two, f"{two.image('ci')}:next")
    file = project.root / "Dockerfile.ci"
    file.write_text(f"{file.read_text()}RUN true\n")
    changed = project.good(*build("ci", "--push", "--tag", "whole", "--skip-unchanged"))
    assert "merged linux/amd64, linux/arm64" in changed.stderr
    assert two.digest(f"{two.image('ci')}:whole") != digest


def test_one_reference_for_two_nodes_loses_half_of_the_segments(two: Nodes, tmp_path: Path) -> None:
    """The control: why the suite does not leave several platforms to one `buildx build`."""
    two.empty()
    (tmp_path / "Dockerfile").write_text(SMALL)
    reference = f"{two.image('ci')}:one-cache"
    raw = ("build", "--builder", BUILDER, "--platform", BOTH, "--progress", "rawjson")
    base = ("--build-arg", f"BASE_IMAGE={two.suite.environment['AIRFLOW_IMAGES_BASE_IMAGE']}")
    cache_to = f"type=registry,ref={reference},mode=max,image-manifest=true,oci-mediatypes=true"
    out = ("--output", "type=cacheonly")
    first = two.buildx(*raw, *base, *out, "--cache-to", cache_to, str(tmp_path))
    assert len(ran(first.stderr)) == 4
    two.empty()
    again = two.buildx(
        *raw, *base, *out, "--cache-from", f"type=registry,ref={reference}", str(tmp_path)
    )
    lost = ran(again.stderr)
    assert len(lost) == 2, lost
    assert len({re.findall(r"linux/\w+", name)[0] for name in lost}) == 1


def test_a_platform_that_fails_keeps_the_others_digest_and_a_merge_completes_it(
    two: Nodes, project: Suite, tmp_path: Path
) -> None:
    folder = tmp_path / "digests"
    broken = f"{SMALL}ARG TARGETARCH\nRUN test ${{TARGETARCH}} != arm64\n"
    (project.root / "Dockerfile.ci").write_text(broken)
    push = build("ci", "--push", "--tag", "later,latest", "--digests", str(folder))
    failed = project.invoke(*push)
    assert failed.returncode == 10
    assert "Traceback" not in failed.stderr
    kept = json.loads((folder / "ci-3.11-amd64.json").read_text())
    assert not (folder / "ci-3.11-arm64.json").exists()
    rest = f"--push-by-digest --digests {folder}"
    assert last(failed.stderr) == (
        "ci-3.11-arm64: step 'test arm64 != arm64' failed with exit code 1"
    )
    assert (
        f"\nci-3.11-arm64: kept: ci-3.11-amd64 {kept['digest']}; "
        "the rest, with the same other options: "
        f"invoke image.build --kind ci --python 3.11 --platform linux/arm64 {rest}; "
        f"invoke image.merge --kind ci --python 3.11 --tag later,latest --digests {folder}\n"
    ) in failed.stderr
    refused = project.nox("merge_ci-3.11", "--tag", "later", "--digests", str(folder))
    assert refused.returncode == 1
    assert f"{folder}: no digest of ci-3.11-arm64, only of ci-3.11-amd64" in refused.stderr
    (project.root / "Dockerfile.ci").write_text(SMALL)
    options = ("--push-by-digest", "--digests", str(folder), "--builder", BUILDER)
    done = project.nox("build_ci-3.11-arm64", *options)
    assert done.returncode == 0, done.stderr[-3000:]
    merged = project.nox("merge_ci-3.11", "--tag", "later,latest", "--digests", str(folder))
    assert merged.returncode == 0, merged.stderr[-3000:]
    assert "buildx build" not in merged.stderr
    holds_both(two, f"{two.image('ci')}:later")
    assert two.digest(f"{two.image('ci')}:later") == two.digest(f"{two.image('ci')}:latest")
    (theirs,) = platforms(two.raw(f"{two.image('ci')}@{kept['digest']}"))
    assert theirs == "linux/amd64"
    of_kept = two.raw(f"{two.image('ci')}@{kept['digest']}")["manifests"][0]["digest"]
    assert of_kept in json.dumps(two.raw(f"{two.image('ci')}:later"))


def test_what_the_registry_has_no_more_is_one_line(two: Nodes, project: Suite) -> None:
    digests = project.root / "dist" / "digests"
    project.good(*build("ci", "--push-by-digest"))
    file = digests / "ci-3.11-arm64.json"
    said = json.loads(file.read_text())
    file.write_text(file.read_text().replace(said["digest"], f"sha256:{'0' * 64}"))
    done = project.invoke("image.merge", "--python", "3.11")
    assert done.returncode == 4
    gone = f"{two.image('ci')}@sha256:{'0' * 64}"
    assert last(done.stderr) == (
        f"ci-3.11-arm64: the registry no longer has {gone}: build it again"
    )


def test_the_engines_own_builder_makes_the_same_image(two: Nodes, project: Suite) -> None:
    """It cannot push by digest: each platform gets a tag of its own there."""
    done = project.good(*build("ci", "--push", "--tag", "own", builder="default"))
    assert "merged linux/amd64, linux/arm64" in done.stderr
    holds_both(two, f"{two.image('ci')}:own")
    assert platforms(two.raw(f"{two.image('ci')}:linux-arm64")) == ["linux/arm64"]


def test_both_platforms_are_loaded_at_once(two: Nodes, project: Suite) -> None:
    project.good(*build("ci", "--tag", "both", builder="default"))
    image = f"{two.image('ci')}:both"
    for platform, machine in (("linux/amd64", "x86_64"), ("linux/arm64", "aarch64")):
        said = two.suite.engine("run", "--rm", "--platform", platform, image, "cat", "/machine")
        assert said.strip() == machine
    refused = project.invoke(*build("ci"))
    assert refused.returncode == 3
    assert last(refused.stderr) == (
        "--load: an image of linux/amd64, linux/arm64 can be loaded from one node only, and "
        "builder two has fast, slow: load one platform, or --push"
    )


def figures(suite: Suite, *task: str) -> Any:
    return json.loads(suite.good(*task, "--json").stdout)


def close(ours: int, theirs: float) -> bool:
    return abs(ours - theirs) <= theirs * 0.01


def said_by_buildx(two: Nodes, builder: str, sum_of: str = "Total") -> float:
    """Return a sum that buildx prints itself, in bytes: Total, or Reclaimable."""
    total = two.buildx("du", "--builder", builder).stdout.split(f"{sum_of}:")[1].split()[0]
    units = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "B": 1.0}
    unit = next(name for name in units if total.endswith(name))
    return float(total.removesuffix(unit)) * units[unit]


@pytest.mark.parametrize("builder", ["default", BUILDER])
def test_figures_are_the_engines_own(two: Nodes, project: Suite, builder: str) -> None:
    two.empty()
    # BuildKit removes no record that is in use, as by a build that an earlier test left.
    in_use = said_by_buildx(two, builder) - said_by_buildx(two, builder, "Reclaimable")
    # From a cache of the registry nothing would come to the builder.
    output = ("--load",) if builder == "default" else ("--push", "--cache-mode", "local")
    project.good(*build("ci", *output, builder=builder))
    on = ("--builder", builder)
    kept = figures(project, "cache.usage", "--local", *on)["builders"]
    names = {"default": {"default"}, BUILDER: {"fast", "slow"}}[builder]
    assert {one["node"] for one in kept} == names
    assert [one["error"] for one in kept] == [None] * len(kept)
    total = sum(one["bytes"] for one in kept)
    assert total > 80_000_000
    assert close(total, said_by_buildx(two, builder))
    for allowed in (("--type", "source.local"), ("--max-used-space", "1kB"), (), ("--all",)):
        foretold = figures(project, "cache.prune", *on, *allowed, "--dry-run")
        before = said_by_buildx(two, builder)
        freed = figures(project, "cache.prune", *on, *allowed)
        after = said_by_buildx(two, builder)
        # BuildKit measures some small records only when they go, and under a ceiling it is chance
        # which goes first of two that were used alike.
        assert abs(foretold["bytes"] - freed["bytes"]) <= total * 0.01, allowed
        if "--max-used-space" not in allowed:
            counts = [
                {one: kept["records"] for one, kept in said["types"].items()}
                for said in (foretold, freed)
            ]
            assert counts[0] == counts[1], allowed
        assert abs(freed["bytes"] - (before - after)) <= total * 0.01, allowed
    left = two.buildx("du", "--builder", builder, "--verbose").stdout
    assert said_by_buildx(two, builder) == in_use, left


@pytest.mark.nightly
@pytest.mark.timeout(5400)
@pytest.mark.parametrize("kind", ["ci", "prod"])
def test_airflow_itself_for_both_platforms(
    two: Nodes, engine: EmbeddedEngine, kind: str, tmp_path: Path
) -> None:
    """Minutes: arm64 is emulated, and this is all of Airflow."""
    base = stand_ins.ensure_python(engine, "3.11", ["amd64", "arm64"], print)
    two = replace(two, suite=two.suite.having(AIRFLOW_IMAGES_BASE_IMAGE=base))
    two.empty()
    push = build(
        kind, "--push", "--push-cache", "--digests", str(tmp_path), "--progress", "rawjson"
    )
    first = two.suite.good(*push)
    assert len(ran(first.stderr)) >= 12
    reference = f"{two.image(kind)}:latest"
    assert f"merged linux/amd64, linux/arm64 as {reference} " in first.stderr
    holds_both(two, reference)
    two.empty()
    again = two.suite.good(*push)
    assert ran(again.stderr) == []


def test_platforms_of_two_machines_stand_on_one_index(two: Nodes, project: Suite) -> None:
    """The tag moves between their builds: the merge refuses, unless the base image is locked."""
    base = two.suite.environment["AIRFLOW_IMAGES_BASE_IMAGE"]
    moving = f"{base.rpartition(':')[0]}:moving-{project.root.parent.name}"
    here = project.having(AIRFLOW_IMAGES_BASE_IMAGE=moving)
    image = ("--kind", "ci", "--python", "3.11")

    def move(text: str) -> None:
        create = ("imagetools", "create", "--builder", "default", "--tag", moving)
        two.buildx(*create, "--annotation", f"index:org.example.moved={text}", base)

    def build_apart(*options: str) -> None:
        for number, platform in enumerate(("amd64", "arm64")):
            move(f"{number} {options}")
            selected = (*image, "--platform", platform, "--builder", BUILDER, *options)
            here.good("image.build", *selected, "--push-by-digest")

    build_apart()
    done = here.invoke("image.merge", *image)
    assert done.returncode == 2
    assert "the platforms stand on different base images: ci-3.11-amd64 on sha256:" in done.stderr
    here.good("base.update", "--python", "3.11")
    build_apart("--locked")
    here.good("image.merge", *image)

    # One run looks the tag up once, and its platforms agree.
    move("last")
    here.good(*build("ci", "--push"))
    written = [
        json.loads((here.root / f"dist/digests/ci-3.11-{name}.json").read_text())["base"]
        for name in ("amd64", "arm64")
    ]
    assert written == [two.digest(moving)] * 2
