from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import specs

from build_tasks.batch.run_recorder import RunRecorder
from build_tasks.buildx import runner
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import EngineError
from build_tasks.history import journal
from build_tasks.history.record import BuildRecord, Reuse, Step, StepKind
from build_tasks.model.build import BuildSpec

CLIENT = Client("docker", ("docker-buildx",), {})
TAKEN = (Reuse("r/i:a", "", "not found"), Reuse("r/i:b", "sha256:1", "the same", seconds=1.5))
STEP = Step("sha256:1", "[2/2] RUN true", StepKind.STEP, number=2, total=2, started=True)


@pytest.fixture
def spec(tmp_path: Path) -> BuildSpec:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    return specs.make(dockerfile=tmp_path / "Dockerfile", context=tmp_path)


@pytest.fixture
def messages() -> list[str]:
    return []


@pytest.fixture
def recorder(messages: list[str]) -> RunRecorder:
    return RunRecorder("1", CLIENT, messages.append)


def kept() -> BuildRecord:
    (record,) = journal.find(journal.LAST, pytest.fail)
    return record


def test_the_attempts_of_a_build_are_counted_over_its_retries(
    recorder: RunRecorder, spec: BuildSpec, messages: list[str]
) -> None:
    record = runner.new_record(CLIENT, spec)
    recorder.add(spec, record)
    recorder.add(spec, record)
    assert (kept().run, kept().attempts) == ("1", 2 * record.attempts)
    assert kept() == recorder.records[spec.identity]
    assert not messages


def test_a_retried_build_is_recorded_from_its_beginning(
    recorder: RunRecorder, spec: BuildSpec
) -> None:
    step = Step("d", "[2/3] RUN x", StepKind.STEP, intervals=((1, 2),), started=True)
    start = runner.new_record(CLIENT, spec)
    failed = replace(start, began="2026-01-01T00:00:00+00:00", steps=(step,), outcome="failed")
    cached = replace(step, cached=True, intervals=())
    last = replace(start, began="2026-01-01T00:01:00+00:00", steps=(cached,), seconds=5.0)
    recorder.add(spec, failed)
    recorder.add(spec, last)
    assert (kept().began, kept().seconds, kept().outcome) == (failed.began, 65.0, "built")
    assert kept().steps == (step,)


def test_a_build_that_did_not_start_has_no_attempt(recorder: RunRecorder, spec: BuildSpec) -> None:
    recorder.add_skipped(spec, TAKEN)
    assert (kept().outcome, kept().digest, kept().attempts) == ("skipped", "sha256:1", 0)
    assert (kept().reuse, kept().seconds) == (TAKEN, 1.5)
    recorder.add_refused(spec, EngineError("no base image"))
    assert (kept().outcome, kept().failure, kept().message) == ("failed", "engine", "no base image")


def test_a_build_that_was_ended_did_not_fail(recorder: RunRecorder, spec: BuildSpec) -> None:
    recorder.add_refused(spec, EngineError("signal: killed"))
    recorder.cancel(spec.identity)
    recorder.cancel("unknown")
    assert (kept().outcome, kept().failure, kept().message) == ("cancelled", "", "")


def test_a_record_that_cannot_be_kept_is_one_warning(
    recorder: RunRecorder, spec: BuildSpec, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: BuildRecord) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal, "write", fail)
    recorder.add_skipped(spec, TAKEN)
    recorder.add_skipped(spec, TAKEN)
    (message,) = messages
    assert message.startswith("warning: the record of the build is not kept: ")
    assert "No space left on device" in message


def test_a_defect_of_the_report_fails_no_build_and_is_named(
    recorder: RunRecorder, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = BuildRecord("ci-3.11-amd64", steps=(STEP,))
    monkeypatch.setattr(journal, "previous", lambda *_: 1 / 0)
    assert list(recorder.explain(record)) == []
    assert messages == [
        "warning: what the build did is not summed up: ZeroDivisionError: division by zero"
    ]


def test_only_a_build_that_ran_steps_is_explained(recorder: RunRecorder) -> None:
    before = BuildRecord("ci-3.11-amd64", run="0", began="2026-01-01T00:00:00", steps=(STEP,))
    record = BuildRecord("ci-3.11-amd64", run="1", began="2026-01-02T00:00:00", steps=(STEP,))
    assert list(recorder.explain(record)) == []  # there is no build to compare with
    journal.write(before)
    first, *_ = recorder.explain(record)
    assert first == "1 of 1 steps ran again since the build of 2026-01-01T00:00:00"
    assert list(recorder.explain(BuildRecord("ci-3.11-amd64"))) == []


def test_a_step_of_github_actions_gets_a_summary(
    recorder: RunRecorder, spec: BuildSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    recorder.add_skipped(spec, TAKEN)
    recorder.close()
    text = (tmp_path / "summary").read_text()
    assert spec.identity in text
    assert "not reused" in text
    assert "the same" in text
