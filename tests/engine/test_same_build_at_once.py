"""One build by many processes at once, with one cache folder and one engine."""

from __future__ import annotations

import json
import secrets
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import specs
from listening import Heard
from suite import PATIENCE, Suite, last

from build_tasks import process
from build_tasks.buildx import runner
from build_tasks.buildx.toolchain import Client
from build_tasks.engine.state import EmbeddedEngine
from build_tasks.model.build import Output
from build_tasks.model.cache import CachePlan
from build_tasks.model.matrix import Platform

DOCKERFILE = """\
ARG BASE_IMAGE=scratch
FROM ${{BASE_IMAGE}} AS main
RUN echo {name} > /name
LABEL tests.project="{name}"
"""
TIMES = 6
LOADS = 20
ROUNDS = 3


def ended(processes: list[subprocess.Popen[str]]) -> list[str]:
    """Return what processes wrote to stderr, which have to end well."""
    results = [process.communicate(timeout=PATIENCE)[1] for process in processes]
    bad = [
        err
        for process, err in zip(processes, results, strict=True)
        if process.returncode or "Traceback" in err
    ]
    assert not bad, f"{len(bad)} of {len(processes)}: {bad[0][-3000:]}"
    return results


def projects(suite: Suite, engine: EmbeddedEngine, folder: Path) -> list[Suite]:
    """Return two checkouts of the project whose images differ, with buildx in docker's place."""
    copies = []
    for name in ("one", "two"):
        copy = suite.copy(folder / name)
        (copy.root / "Dockerfile.ci").write_text(DOCKERFILE.format(name=name))
        copy = copy.having(
            AIRFLOW_IMAGES_REPOSITORY=f"tests/{secrets.token_hex(4)}/{name}",
            DOCKER_HOST=engine.host,
            AIRFLOW_IMAGES_ENGINE="embedded",
        )
        copies.append(replace(copy, docker=(str(engine.buildx),)))
    return copies


def pushed(project: Suite, reference: str) -> dict[str, Any]:
    """Return what a registry has under a name."""
    command = ("imagetools", "inspect", "--builder", "default", "--format", "{{json .}}")
    said: dict[str, Any] = json.loads(project.engine(*command, reference))
    return said


def test_each_says_the_digest_that_it_pushed(
    suite: Suite, engine: EmbeddedEngine, cache: Path, metadata: Path, tmp_path: Path
) -> None:
    """Digests were read from a file that all of them wrote."""
    both = projects(suite, engine, tmp_path)
    both[0].good("image.build", "--python", "3.11")  # makes the base, once
    build = ("invoke", "image.build", "--python", "3.11", "--push", "--tag")
    logs_before = {*(cache / "logs").glob("*/ci-3.11-amd64.log")}
    runs = [
        (project, f"t{number}", project.start(*build, f"t{number}"))
        for number in range(TIMES)
        for project in both
    ]
    told = ended([process for _, _, process in runs])
    for (project, tag, _), err in zip(runs, told, strict=True):
        repository = project.environment["AIRFLOW_IMAGES_REPOSITORY"]
        found = pushed(project, f"{engine.registry}/{repository}/main/ci/python3.11:{tag}")
        assert last(err).endswith(f":{tag} {found['manifest']['digest']}")
        labels = found["image"]["config"]["Labels"]
        assert labels["tests.project"] == project.root.name
    logs = {*(cache / "logs").glob("*/ci-3.11-amd64.log")} - logs_before
    assert len(logs) >= len(runs)
    assert {log.read_text().count(" build --builder ") for log in logs} == {1}
    assert (cache / "logs" / "ci-3.11-amd64.log").is_symlink()
    assert not [*metadata.iterdir()]


def test_each_digest_file_is_of_its_own_project(
    suite: Suite, engine: EmbeddedEngine, tmp_path: Path
) -> None:
    """7 of 48 named another project's digest."""
    both = projects(suite, engine, tmp_path)
    folders = [
        (project, tmp_path / f"digests-{number}-{project.root.name}")
        for number in range(TIMES)
        for project in both
    ]
    build = ("invoke", "image.build", "--python", "3.11", "--push-by-digest", "--digests")
    told = ended([project.start(*build, str(folder)) for project, folder in folders])
    for (project, folder), err in zip(folders, told, strict=True):
        (file,) = folder.iterdir()
        part = json.loads(file.read_text())
        assert f"pushed {part['image']} {part['digest']}\n" in err
        pushed(project, f"{part['image']}@{part['digest']}")
    shared = tmp_path / "digests"
    told = ended([both[0].start(*build, str(shared)) for _ in range(TIMES)])
    (file,) = shared.iterdir()
    part = json.loads(file.read_text())
    assert [err for err in told if f" {part['digest']}\n" in err]


@pytest.mark.nightly
def test_many_load_one_image_at_once(engine: EmbeddedEngine, tmp_path: Path) -> None:
    """Up to 19 of 20 ended with: image "...": already exists."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY content /\n")
    environment = {**engine.environment, "BUILDX_CONFIG": str(tmp_path / "buildx")}
    client = Client(str(engine.docker), (str(engine.buildx),), environment, engine)
    heard = Heard()
    with ThreadPoolExecutor(LOADS) as pool:
        for number in range(ROUNDS):
            (tmp_path / "content").write_bytes(secrets.token_bytes(3_000_000))
            spec = specs.make(
                dockerfile=tmp_path / "Dockerfile",
                context=tmp_path,
                platform=Platform.AMD64,
                tags=(f"tests/{secrets.token_hex(4)}:latest",),
                arguments=(),
                cache=CachePlan(),
                kind=Output.LOAD,
                metadata=tmp_path / "metadata.json",
                progress="rawjson",
            )
            several = [specs.change(spec, run_id=f"{number}-{one}") for one in range(LOADS)]
            built = list(pool.map(lambda one: runner.build(client, one, heard), several))
            assert len({one.digest for one in built}) == 1
            assert max(one.attempts for one in built) <= 3
            shown = (client.docker, "image", "inspect", "--format", "{{.Id}}", spec.output.tags[0])
            loaded = process.run(shown, environment=environment)
            assert loaded.stdout.strip() == built[0].digest
    assert "another build loaded an image of this name" in "\n".join(heard.messages)
