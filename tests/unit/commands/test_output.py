from __future__ import annotations

import errno
import json
from pathlib import Path
from types import MappingProxyType

import pytest

from build_tasks.commands import output
from build_tasks.config.options import Options
from build_tasks.errors import DiskError

COLUMNS = ("name", "value")
ROWS = [("list", ["a", "b"]), ("table", {"x": 1}), ("nothing", None), ("number", 3)]


def test_a_table_shows_values_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    output.show(Options({}), {}, COLUMNS, ROWS)
    lines = [line.strip().split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["name", "value"],
        ["list", "a, b"],
        ["table", "x: 1"],
        ["nothing"],
        ["number", "3"],
    ]


def test_json_has_the_data_and_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"path": Path("/x"), "table": MappingProxyType({"a": 1})}
    output.show(Options({"json": True}), data, COLUMNS, ROWS)
    assert json.loads(capsys.readouterr().out) == {"path": "/x", "table": {"a": 1}}


def test_an_error_of_the_system_is_one_of_the_suite() -> None:
    with pytest.raises(DiskError, match=r"^/x: Permission denied$"), output.reported():
        raise PermissionError(errno.EACCES, "Permission denied", "/x")
