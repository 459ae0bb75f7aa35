from __future__ import annotations

from pathlib import Path

import pytest
import specs

from build_tasks.batch import build_jobs
from build_tasks.batch.build_jobs import BatchContext
from build_tasks.batch.run_recorder import RunRecorder
from build_tasks.buildx.cache_lookup import Lookup
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import EngineError
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
