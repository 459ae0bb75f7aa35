from __future__ import annotations

import json
from dataclasses import replace

import pytest

from build_tasks.check import up_to_date
from build_tasks.check.verdict import Finding, Verdict
from build_tasks.commands import check
from build_tasks.config.options import Options
from build_tasks.errors import RegistryError, StaleError, UsageError
from build_tasks.history import journal
from build_tasks.history.record import BuildRecord, Step, StepKind

CURRENT = Verdict("ci-3.11-amd64", "nox", (Finding("engine", "r/i:1", there=True),))
STALE = Verdict("ci-3.9-amd64", "nox", (Finding("engine", "r/i:2", there=True, changed=("base",)),))
UNKNOWN = Verdict("ci-3.13-amd64", "nox", (Finding("registry", "r/i:3", problem="no answer"),))


def checked(monkeypatch: pytest.MonkeyPatch, *verdicts: Verdict) -> None:
    monkeypatch.setattr(up_to_date, "check", lambda *_, **__: verdicts)


def test_the_verdicts_are_text_or_data(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checked(monkeypatch, CURRENT, STALE)
    check.check_image(Options({}))
    shown = capsys.readouterr().out
    assert shown.splitlines() == [*CURRENT.lines, *STALE.lines]
    check.check_image(Options({"json": True}))
    data = json.loads(capsys.readouterr().out)
    assert [one["identity"] for one in data] == ["ci-3.11-amd64", "ci-3.9-amd64"]


def test_only_with_fail_an_image_that_is_not_up_to_date_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fail = Options({"fail": True})
    checked(monkeypatch, CURRENT)
    check.check_image(fail)
    checked(monkeypatch, CURRENT, UNKNOWN)
    check.check_image(Options({}))
    with pytest.raises(RegistryError, match=r"^cannot tell whether up to date: ci-3.13-amd64$"):
        check.check_image(fail)
    checked(monkeypatch, UNKNOWN, STALE)
    with pytest.raises(StaleError, match=r"^out of date: ci-3.9-amd64$"):
        check.check_image(fail)


def test_the_record_of_an_image_is_the_one_with_its_fingerprint() -> None:
    record = BuildRecord("ci-3.11-amd64", run="1", fingerprint="one")
    journal.write(record)
    journal.write(replace(record, run="2", fingerprint="two"))
    found = check.recorded("ci-3.11-amd64", "one")
    assert found
    assert found.run == "1"
    assert check.recorded("ci-3.11-amd64", "three") is None


def test_a_build_is_explained_by_another_one_that_has_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    step = Step("sha256:1", "[2/2] RUN true", StepKind.STEP, number=2, total=2, started=True)
    record = BuildRecord("ci-3.11-amd64", run="1", began="2026-01-01T00:00:00", steps=(step,))
    journal.write(record)
    check.explain_image(Options({}))
    assert "there is no earlier build to compare with" in capsys.readouterr().out
    cached = replace(step, cached=True)
    journal.write(replace(record, run="2", began="2026-01-02T00:00:00", steps=(cached,)))
    check.explain_image(Options({"record": "2", "from": "1"}))
    assert capsys.readouterr().err == "all steps were cached\n"
    check.explain_image(Options({"record": "1", "json": True}))
    assert json.loads(capsys.readouterr().out)[0]["identity"] == "ci-3.11-amd64"
    journal.write(replace(record, identity="prod-3.11-amd64", run="3"))
    with pytest.raises(UsageError, match=r"^--from 3: has no build of ci-3.11-amd64$"):
        check.explain_image(Options({"record": "1", "from": "3"}))
