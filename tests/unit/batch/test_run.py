from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import specs

from build_tasks.batch import run
from build_tasks.builders import nodes
from build_tasks.buildx import runner
from build_tasks.buildx.toolchain import Client
from build_tasks.config import loading
from build_tasks.config.options import Options
from build_tasks.errors import ImagesError, NetworkError, SeveralErrors, StepError
from build_tasks.history import journal
from build_tasks.history.record import BuildRecord
from build_tasks.model.build import BuildSpec

#: Raises an error for some builds; the others succeed.
Builds = Callable[..., list[str]]


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> Builds:
    """Let builds fail with errors, by Python, and return the identities of what is built."""

    def replace(**errors: ImagesError) -> list[str]:
        started: list[str] = []

        def build(
            client: Client, spec: BuildSpec, _: object, *, note: Callable[[BuildRecord], None]
        ) -> BuildRecord:
            started.append(spec.identity)
            record = runner.new_record(client, spec)
            note(record)
            if error := errors.get(f"py{spec.build.python.replace('.', '')}"):
                raise error
            return record

        monkeypatch.setattr(runner, "build", build)
        return started

    return replace


def plan(tmp_path: Path, *pythons: str, builder: str = "default") -> list[BuildSpec]:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    given = {"dockerfile": tmp_path / "Dockerfile", "context": tmp_path, "progress": "quiet"}
    return [
        specs.make(python=python, image=f"r/{python}", builder=builder, **given)
        for python in pythons
    ]


def build(plan: list[BuildSpec], messages: list[str], **options: str | bool) -> None:
    client, settings = Client("docker", ("docker-buildx",), {}), loading.load(environment={})
    host = SimpleNamespace(client=client, nodes=1, local=True, settings=settings)
    given = Options({name.replace("_", "-"): value for name, value in options.items()})
    run.build(host, plan, given, announce=messages.append)  # type: ignore[arg-type]  # all of a host that it uses


def test_a_failure_stops_no_other_build_and_all_are_in_the_table(
    builds: Builds, tmp_path: Path
) -> None:
    started = builds(py311=StepError("step 'exit 3' failed"))
    messages: list[str] = []
    with pytest.raises(StepError, match="step 'exit 3' failed"):
        build(plan(tmp_path, "3.9", "3.11", "3.13"), messages, jobs="1")
    assert started == ["ci-3.9-amd64", "ci-3.11-amd64", "ci-3.13-amd64"]
    outcomes = [line.split()[:2] for line in messages[1:4]]
    assert outcomes == [
        ["ci-3.9-amd64", "built"],
        ["ci-3.11-amd64", "failed"],
        ["ci-3.13-amd64", "built"],
    ]
    records = journal.find(journal.LAST, pytest.fail)
    assert [record.identity for record in records] == started
    assert len({record.run for record in records}) == 1


def test_several_failures_are_one_error(builds: Builds, tmp_path: Path) -> None:
    builds(py39=StepError("a"), py311=NetworkError("b"))
    with pytest.raises(SeveralErrors, match="2 of 2 failed: "):
        build(plan(tmp_path, "3.9", "3.11"), [])


def test_a_single_build_has_no_table(builds: Builds, tmp_path: Path) -> None:
    started = builds()
    messages: list[str] = []
    build(plan(tmp_path, "3.9"), messages)
    assert (started, messages) == (["ci-3.9-amd64"], [])


def test_options_limit_retries_and_stop_at_a_failure(builds: Builds, tmp_path: Path) -> None:
    error = NetworkError("gone", transient=True)
    started = builds(py39=error)
    with pytest.raises(NetworkError):
        build(plan(tmp_path, "3.9", "3.11"), [], jobs="1", retries="0", fail_fast=True)
    assert started == ["ci-3.9-amd64"]


def test_a_builder_is_started_before_several_builds_would_start_it(
    builds: Builds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = builds()
    names: list[str] = []
    monkeypatch.setattr(nodes, "start", lambda _, name: names.append(name))
    build(plan(tmp_path, "3.9", builder="mine"), [])
    assert names == []
    build(plan(tmp_path, "3.9", "3.11", builder="mine"), [])
    assert (names, len(started)) == (["mine"], 3)


@pytest.mark.parametrize(
    ("nodes", "cores", "slots"), [(1, 1, 4), (1, 2, 8), (1, 64, 8), (3, 1, 12), (3, 64, 24)]
)
def test_the_default_number_of_builds_at_once_is_that_of_nodes_and_cores(
    monkeypatch: pytest.MonkeyPatch, nodes: int, cores: int, slots: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert run._rules(Options({}), nodes).slots == slots
    assert run._rules(Options({"jobs": "2"}), nodes).slots == 2
