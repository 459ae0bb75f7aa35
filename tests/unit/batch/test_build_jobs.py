from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import specs

from build_tasks.batch import build_jobs
from build_tasks.batch.bases import MadeImage
from build_tasks.batch.build_jobs import BatchContext
from build_tasks.batch.run_recorder import RunRecorder
from build_tasks.buildx import runner
from build_tasks.buildx.cache_lookup import Lookup
from build_tasks.buildx.toolchain import Client
from build_tasks.check import reuse
from build_tasks.errors import EngineError
from build_tasks.history.record import BuildRecord, Reuse
from build_tasks.inputs.fingerprint import Inputs
from build_tasks.model import cache_backends
from build_tasks.model.build import BuildSpec, Candidate, Output, ReusePlan
from build_tasks.model.cache import CachePlan
from build_tasks.model.matrix import Platform
from build_tasks.progress.base import Display

CLIENT = Client("docker", ("docker-buildx",), {})


def test_a_build_that_cannot_run_fails_with_the_error_that_its_plan_has(tmp_path: Path) -> None:
    error = EngineError("no base image for Python 3.12")
    spec = specs.make(refused=error)
    recorder = RunRecorder("run", CLIENT, lambda _: None)
    caches = Lookup(CLIENT, "default", local=True)
    context = BatchContext(CLIENT, tmp_path, Display(tmp_path), recorder, caches)
    (job,) = build_jobs.jobs(context, [spec])
    with pytest.raises(EngineError) as caught:
        job.work()
    assert caught.value is error
    record = recorder.records[spec.identity]
    assert (record.outcome, record.failure, record.message) == ("failed", "engine", str(error))
    assert record.attempts == 0


TAKEN = Reuse("r:1/main/i:latest", "sha256:1", "the same")
SLOW = Reuse("r:1/main/i:latest", reason="not there", late=True)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[Reuse]:
    """What is looked at before builds, and no real builds."""
    found: list[Reuse] = []
    monkeypatch.setattr(reuse, "take", lambda *_: tuple(found))
    monkeypatch.setattr(Lookup, "readable", lambda _, spec, _say: spec)
    return found


def make(tmp_path: Path) -> BatchContext:
    recorder = RunRecorder("run", CLIENT, lambda _: None)
    caches = Lookup(CLIENT, "default", local=True)
    return BatchContext(CLIENT, tmp_path, Display(tmp_path), recorder, caches)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "reused r:1/main/i@sha256:1: the same; loaded as r/i:a, r/i:b"),
        ({"kind": Output.PUSH}, "reused r:1/main/i@sha256:1: the same; tagged r/i:a, r/i:b"),
        (
            {"kind": Output.PUSH, "image": "r:1/main/i"},
            "unchanged, tagged r/i:a, r/i:b sha256:1",
        ),
    ],
)
def test_an_image_is_taken_instead_of_a_build(
    tmp_path: Path, looked: list[Reuse], fields: dict[str, Any], text: str
) -> None:
    looked.append(TAKEN)
    plan = ReusePlan((Candidate(TAKEN.reference),))
    spec = specs.make(**{"image": "r/i", "tags": ("r/i:a", "r/i:b"), "reuse": plan, **fields})
    context = make(tmp_path)
    (job,) = build_jobs.jobs(context, [spec])
    with context.display:
        assert job.work() == text
    assert context.recorder.records[spec.identity].reuse == (TAKEN,)


@pytest.mark.parametrize(("found", "left"), [(SLOW, ["other:1/cache:1"]), (None, None)])
def test_a_slow_registry_is_not_asked_for_its_caches(
    tmp_path: Path,
    looked: list[Reuse],
    monkeypatch: pytest.MonkeyPatch,
    found: Reuse | None,
    left: list[str] | None,
) -> None:
    names = ["r:1/main/cache:1", "other:1/cache:1"]
    looked += [found or replace(SLOW, late=False)]
    built: list[BuildSpec] = []

    def build(_: Client, spec: BuildSpec, *__: object, note: Any) -> BuildRecord:
        built.append(spec)
        record = BuildRecord(spec.identity, began="2026-01-01T00:00:00+00:00")
        note(record)
        return record

    monkeypatch.setattr(runner, "build", build)
    caches = CachePlan(tuple(map(cache_backends.registry, names)))
    plan = ReusePlan((Candidate(SLOW.reference, ""),))
    spec = specs.make(image="r/i", tags=("r/i:a",), reuse=plan, cache=caches, content=Inputs(()))
    context = make(tmp_path)
    (job,) = build_jobs.jobs(context, [spec])
    with context.display:
        job.work()
    assert [one.reference for one in built[0].cache.imports] == (left or names)
    assert context.recorder.records[spec.identity].reuse == tuple(looked)


def test_an_own_image_is_looked_for_on_what_the_run_has_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On every platform, so each build waits for what all of them stand on."""
    taken: list[BuildSpec] = []

    def take(_: Client, found: list[BuildSpec]) -> tuple[Reuse, ...]:
        taken.extend(found)
        return (TAKEN,)

    monkeypatch.setattr(reuse, "take", take)
    own = [
        specs.make(
            name="dags",
            platform=platform,
            kind=Output.PUSH,
            image="r/dags",
            tags=("r/dags:a",),
            arguments=(("AIRFLOW_IMAGE", "r/prod:latest"),),
            base_argument="AIRFLOW_IMAGE",
            needs=f"prod-{platform.architecture}",
            reuse=ReusePlan((Candidate(TAKEN.reference),)),
        )
        for platform in Platform
    ]
    context = make(tmp_path)
    jobs = build_jobs.jobs(context, own)
    assert {job.needs for job in jobs} == {("prod-amd64", "prod-arm64")}
    for number, platform in enumerate(Platform):
        below = specs.make(kind=Output.PUSH)
        digest = f"sha256:{number}"
        context.made[f"prod-{platform.architecture}"] = MadeImage(below, digest)
    with context.display:
        jobs[1].work()
    assert [spec.inputs.base for spec in taken] == [
        "r/prod:latest@sha256:0",
        "r/prod:latest@sha256:1",
    ]
    made = context.made[own[1].identity]
    assert (made.digest, made.source) == (TAKEN.digest, "r:1/main/i@sha256:1")
