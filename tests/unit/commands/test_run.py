"""Images are built before they run if they are out of date, and never without saying so."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from build_tasks.check import up_to_date
from build_tasks.check.verdict import Finding, Verdict
from build_tasks.commands import build, run
from build_tasks.config.options import Options
from build_tasks.errors import EngineError, UsageError
from build_tasks.model.matrix import Platform
from build_tasks.plan import build_host
from build_tasks.run import container
from build_tasks.run.request import Request

CURRENT = Finding("engine", "r/i:1", there=True)
OLDER = Finding("engine", "r/i:1", there=True, changed=("files",), details=("files (a.py)",))
MISSING = Finding("engine", "r/i:1")


class Done:
    """What was built, and what ran."""

    def __init__(self) -> None:
        self.built: list[Options] = []
        self.ran: list[Request] = []


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> Done:
    happened = Done()
    client = SimpleNamespace(native=Platform.AMD64)
    host = SimpleNamespace(client=client, platforms=(Platform.AMD64, Platform.ARM64))
    monkeypatch.setattr(build_host, "find", lambda *_, **__: host)
    monkeypatch.setattr(build, "build", happened.built.append)
    monkeypatch.setattr(container, "describe", lambda *arguments: arguments[-1])
    monkeypatch.setattr(container, "run", lambda _, asked: happened.ran.append(asked))
    return happened


def found(monkeypatch: pytest.MonkeyPatch, finding: Finding, unasked: str = "") -> None:
    verdict = Verdict("ci-3.11-amd64", "nox -s build_ci-3.11", (finding,), unasked)
    monkeypatch.setattr(up_to_date, "check", lambda *_, **__: [verdict])


def options(**given: str | bool) -> Options:
    return Options({"python": "3.11", **{name.replace("_", "-"): v for name, v in given.items()}})


def test_an_image_that_is_up_to_date_is_not_built(
    done: Done, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found(monkeypatch, CURRENT)
    run.run_image(options())
    run.open_shell(options())
    run.run_tests(options())
    assert not done.built
    assert [asked.command for asked in done.ran] == [(), ("bash",), ("pytest",)]
    assert capsys.readouterr().err == "ci-3.11-amd64: is up to date: r/i:1\n" * 3


@pytest.mark.parametrize(
    ("finding", "text"),
    [
        (OLDER, "the engine has an older one, since changed: files (a.py): building it"),
        (MISSING, "the engine has no r/i:1: building it"),
    ],
)
def test_an_image_that_is_out_of_date_is_built_and_the_reason_said(
    done: Done,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    finding: Finding,
    text: str,
) -> None:
    found(monkeypatch, finding)
    run.run_image(options())
    assert done.built == [options(platform="linux/amd64")]  # the engine's own of two
    assert len(done.ran) == 1
    assert capsys.readouterr().err == f"ci-3.11-amd64: {text}\n"


def test_without_a_build_an_older_image_runs_and_that_is_said(
    done: Done, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found(monkeypatch, OLDER, unasked="no answer")
    run.run_image(options(no_build=True))
    assert not done.built
    assert len(done.ran) == 1
    assert capsys.readouterr().err.splitlines() == [
        "ci-3.11-amd64: unknown whether the base image changed: no answer",
        "ci-3.11-amd64: the engine has an older one, since changed: files (a.py): "
        "it runs all the same",
    ]
    found(monkeypatch, MISSING)
    with pytest.raises(UsageError) as caught:
        run.run_image(options(no_build=True))
    assert str(caught.value) == (
        "--no-build: the engine has no r/i:1: nox -s build_ci-3.11 builds it"
    )


def test_nothing_runs_if_the_engine_does_not_answer_or_an_option_is_wrong(
    done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    found(monkeypatch, Finding("engine", "r/i:1", problem="it is broken"))
    with pytest.raises(EngineError, match=r"^ci-3.11-amd64: the engine did not answer: it is b"):
        run.run_image(options())
    with pytest.raises(UsageError, match=r"^--python: one at a time: 3.11,3.12$"):
        run.run_image(options(python="3.11,3.12"))
    assert not done.built
    assert not done.ran
