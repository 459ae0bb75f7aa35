"""Folders of Airflow's sources; what git fetches is tested with the front ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tasks.errors import UsageError
from build_tasks.plan import airflow_checkout


def said(line: str) -> None:
    pytest.fail(f"nothing is fetched here: {line}")


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ({"pyproject.toml": 'version = "3.2.1"'}, "3.2.1"),
        ({"pyproject.toml": 'version = "3.4.0-dev0"'}, "3.4.0.dev0"),  # as the built wheel has it
        ({"airflow/__init__.py": "import os\n__version__ = '2.11.0'\n"}, "2.11.0"),
        (
            {
                "airflow-core/src/airflow/__init__.py": '__version__ = "3.4.0"\r\n',
                "airflow/__init__.py": "__version__ = '1'",
                "pyproject.toml": 'version = "2"',
            },
            "3.4.0",
        ),
    ],
)
def test_version_is_read_from_the_sources(
    tmp_path: Path, files: dict[str, str], version: str
) -> None:
    for name, text in {"pyproject.toml": "", **files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert airflow_checkout.find(str(tmp_path), "here", said) == (tmp_path, version)


def test_sources_with_a_version_that_is_none_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('version = "main"')
    with pytest.raises(UsageError, match=r"^here: /.*\.toml: expected a version like .*'main'$"):
        airflow_checkout.find(str(tmp_path), "here", said)


def test_sources_may_start_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('\ufeffversion = "3"\n[project]\nname = "x"\n')
    with pytest.raises(UsageError, match="has the sources of x, not of apache-airflow"):
        airflow_checkout.find(str(tmp_path), "here", said)
    (tmp_path / "pyproject.toml").write_text('\ufeffversion = "3"\n')
    assert airflow_checkout.find(str(tmp_path), "here", said) == (tmp_path, "3")
    (tmp_path / "pyproject.toml").write_bytes(b"\xff")
    with pytest.raises(UsageError, match=r"^here: .*pyproject.toml: cannot be read: line 1 is not"):
        airflow_checkout.find(str(tmp_path), "here", said)


def test_relative_folder_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text('version = "3"')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    for name in (".", f"~/{tmp_path.name}"):
        assert airflow_checkout.find(name, "here", said) == (tmp_path, "3")
