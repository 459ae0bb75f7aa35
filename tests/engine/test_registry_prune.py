"""What tags leave behind in the engine's registry is freed, and nothing that anybody needs."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from suite import Suite, last

from build_tasks.engine.folders import Folders
from build_tasks.process import locks

BUILD = ("image.build", "--python", "3.11", "--base-image", "scratch", "--push", "--push-cache")
MEGABYTE = 1_000_000


@pytest.fixture
def project(bare: Suite) -> Suite:
    """A project whose image is a file of two megabytes that no compression makes smaller."""
    (bare.root / "Dockerfile.ci").write_text("FROM scratch\nCOPY sources /x\n")
    return bare


def push(project: Suite, *options: str) -> str:
    (project.root / "sources/large").write_bytes(os.urandom(2 * MEGABYTE))
    return last(project.good(*BUILD, *options).stderr)


def stored(project: Suite) -> int:
    root = Path(project.environment["AIRFLOW_IMAGES_CACHE"]) / "engine/registry"
    return sum(file.stat().st_size for file in root.rglob("data") if file.is_file())


def test_pruning_frees_what_tags_left_behind(project: Suite) -> None:
    """A defect once found: six pushes to one tag stayed for ever."""
    pushed = [push(project) for _ in range(6)][-1]
    name = next(word for word in pushed.split() if ":latest" in word)
    kept = push(project, "--tag", "other").split()
    before = stored(project)
    foretold = json.loads(project.good("cache.prune", "--dry-run", "--json").stdout)["registry"]
    assert stored(project) == before
    done = project.good("cache.prune", "--json")
    freed = json.loads(done.stdout)["registry"]
    assert freed == foretold
    assert before - stored(project) == freed["bytes"]
    assert freed["bytes"] >= 5 * 2 * MEGABYTE
    assert stored(project) < 3 * 2 * MEGABYTE
    # Index, image, attestation and cache of both tags are whole.
    status = json.loads(project.good("engine.status", "--json").stdout)
    docker = [
        status["docker"],
        "--config",
        status["DOCKER_CONFIG"],
        "--host",
        status["DOCKER_HOST"],
    ]
    project.good("cache.prune", "--all")
    for image in (name, next(word for word in kept if ":other" in word)):
        subprocess.run([*docker, "pull", "--quiet", image], check=True, capture_output=True)
    assert "CACHED" in project.good(*BUILD, "--tag", "other", "--progress", "plain").stderr


def test_an_image_of_several_platforms_and_what_waits_for_a_merge_stay(
    project: Suite, tmp_path: Path
) -> None:
    digests = ("--digests", str(tmp_path / "digests"))
    project.good(*BUILD[:-2], "--push-by-digest", *digests)
    merge = ("image.merge", "--python", "3.11", "--platform", "linux/amd64", *digests)
    project.good("cache.prune")
    merged = last(project.good(*merge, "--tag", "merged").stderr)
    push(project)
    push(project)
    project.good("cache.prune")
    assert last(project.good(*merge, "--tag", "again").stderr).split()[-1] == merged.split()[-1]


def test_pruning_leaves_a_registry_alone_that_another_process_uses(project: Suite) -> None:
    push(project)
    push(project)
    lock = Folders(Path(project.environment["AIRFLOW_IMAGES_CACHE"]) / "engine").registry_lock
    locks.share(lock, "prunes", print)
    before = stored(project)
    said = project.good("cache.prune").stderr
    assert "waiting for process" in said
    assert "freed nothing: other processes use it; try again" in last(said)
    assert stored(project) == before


def test_a_build_waits_while_the_registry_is_pruned(project: Suite) -> None:
    push(project)
    lock = Folders(Path(project.environment["AIRFLOW_IMAGES_CACHE"]) / "engine").registry_lock
    with locks.alone(lock, 30, "builds", print) as free:
        assert free
        build = project.start("invoke", *BUILD)
        assert build.stderr
        told = build.stderr.readline()
        time.sleep(1)
        assert build.poll() is None
    with build:
        _, err = build.communicate(timeout=120)
    assert build.returncode == 0, err
    assert "which frees space in the engine's registry" in told
