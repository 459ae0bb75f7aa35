from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
from targets import target

from build_tasks.model.own_image import OwnImage
from build_tasks.process import Completed
from build_tasks.verify import fixtures, suite
from build_tasks.verify.target import Image

CHECK = """
def test_it(target, containers, packages):
    assert target.image.platform
    assert list(packages.distributions) == ["zope-interface"]
"""


def test_checks_get_the_image_and_its_packages_and_pytest_warns_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "test_one.py").write_text(CHECK)
    monkeypatch.setattr(suite, "CHECKS", tmp_path)
    containers = Mock()
    listed = json.dumps([{}, [{"name": "Zope.Interface"}]])
    containers.return_value.python.return_value = Completed(("docker",), 0, listed, "")
    monkeypatch.setattr(fixtures, "Containers", containers)
    (result,) = suite.verify(target(folder=tmp_path), announce=print)
    assert result["outcome"] == "passed"
    assert "warning" not in capsys.readouterr().out
    containers.return_value.clear.assert_called_once_with()


OWN_CHECK = """
import pytest

def test_it(run, python, image):
    assert run("bash", "-c", "x", environment={"A": "1"}) == "out"
    assert python("    print(1)") == "out"
    assert image.reference == "i"

def test_a_command_that_fails(run):
    run("false", "it")
"""


def test_checks_of_a_project_get_the_output_of_commands_that_succeed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "test_two.py").write_text(OWN_CHECK)
    monkeypatch.setattr(suite, "CHECKS", tmp_path)
    containers = Mock()
    good, bad = Completed((), 0, " out\n", ""), Completed((), 3, "", "why\n")
    containers.return_value.run.side_effect = [good, bad]
    containers.return_value.python.return_value = good
    monkeypatch.setattr(fixtures, "Containers", containers)
    results = suite.verify(target(folder=tmp_path), announce=print)
    assert [result["outcome"] for result in results] == ["passed", "failed"]
    assert results[1]["message"] == "false it ends with 3: why"
    containers.return_value.python.assert_called_once_with("print(1)")


def test_nothing_waits_for_the_database_of_a_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "test_three.py").write_text("def test_it(containers): pass\n")
    monkeypatch.setattr(suite, "CHECKS", tmp_path)
    monkeypatch.setattr(fixtures, "Containers", containers := Mock())
    image = Image("i", {"Config": {"Env": ["AIRFLOW_CONFIG=/x"]}})
    for own, expected in (((), {}), ((OwnImage("x"),), {"CONNECTION_CHECK_MAX_COUNT": "0"})):
        suite.verify(target(folder=tmp_path, image=image, own=own), announce=print)
        assert containers.call_args.kwargs["environment"] == expected


def probed(*answers: Completed, seconds: float = 1) -> Mock:
    """Expect health of a container whose probe answers so, if that takes so many seconds each."""
    containers = Mock()
    containers.execute.side_effect = answers
    containers.logs.return_value = Completed((), 0, "its log", "")
    times = itertools.count(step=seconds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: next(times))
        patch.setattr(time, "sleep", lambda _: None)
        fixtures.expect_healthy(containers, "its-id", ("curl", "localhost"))
    return containers


BAD, GOOD = Completed((), 7, "", "refused"), Completed((), 0, "", "")


def test_a_probe_is_tried_until_it_succeeds() -> None:
    assert probed(BAD, BAD, GOOD).execute.call_count == 3


@pytest.mark.parametrize(
    ("answer", "seconds", "said"),
    [
        (BAD, fixtures.START + 1, "refused: its log"),
        (Completed((), 1, "", "Error response from daemon: container 8f is not running"), 1, "8f"),
    ],
)
def test_a_probe_fails_after_a_while_or_where_its_container_has_ended(
    answer: Completed, seconds: float, said: str
) -> None:
    with pytest.raises(pytest.fail.Exception, match=said):
        probed(answer, GOOD, seconds=seconds)
