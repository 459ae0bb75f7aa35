from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import Mock

import pytest
from targets import target

from build_tasks.process import Completed
from build_tasks.verify import fixtures, suite

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
