"""What a build that says nothing for a while is said to wait for."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
import specs
from listening import Heard

from build_tasks import process
from build_tasks.buildx import attempt, runner
from build_tasks.buildx.attempt import _Silence
from build_tasks.buildx.toolchain import Client
from build_tasks.history.recorder import Recorder
from build_tasks.model.build import BuildSpec, Secret
from build_tasks.process import Command, Completed


def test_what_runs_is_named_but_not_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "QUIET", 0.0)
    recorder = Recorder()
    vertexes = [
        {"digest": f"sha256:{n}", "name": f"[{n}/6] RUN {n}", "started": "2026-01-01T00:00:00Z"}
        for n in range(2, 7)
    ]
    heard = Heard()
    silence = _Silence(recorder, specs.make(), heard)
    silence.check()
    recorder.feed(json.dumps({"vertexes": vertexes}).encode() + b"\n")
    silence.end()
    silence.check()
    monkeypatch.setattr(attempt, "QUIET", 60.0)
    silence.end()
    silence.check()
    assert heard.messages == [
        "no output for 0 s, waiting for the builder default",
        "no output for 0 s, running: 2; 3; 4 and 2 more",
    ]


@pytest.mark.parametrize("events", [True, False])
def test_buildx_has_the_variable_of_a_secret_and_the_shown_command_has_not(
    monkeypatch: pytest.MonkeyPatch, events: bool
) -> None:
    environments: list[Mapping[str, str]] = []

    def stream(command: Command, *, environment: Mapping[str, str], **_: object) -> Completed:
        environments.append(environment)
        return Completed(command, 0, "", "")

    shown: list[str] = []

    class Shown(Heard):
        takes_events = events

        def start(self, spec: BuildSpec, command: str, recorder: Recorder) -> None:  # noqa: ARG002
            shown.append(command)

    monkeypatch.setattr(process, "stream", stream)
    secrets = (Secret("a", variable="OWN"), Secret("b", variable="NETRC", value="canary-4711"))
    client = Client("docker", ("buildx",), {"DOCKER_CONFIG": "/c"})
    spec = specs.make(secrets=secrets)
    start = runner.new_record(client, spec)
    attempt.run(client, spec, start, Shown())
    assert environments == [{"DOCKER_CONFIG": "/c", "NETRC": "canary-4711"}]
    assert "--secret id=a,env=OWN --secret id=b,env=NETRC" in shown[0]
    assert "canary" not in shown[0] + repr(spec) + repr(start)
