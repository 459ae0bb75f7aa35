"""The DAGs of this image parse, and their tasks do what they say."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).parents[1] / "dags").glob("**/*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_of_dags_parses_and_has_one(file: Path) -> None:
    from airflow.sdk import DAG

    assert any(isinstance(value, DAG) for value in runpy.run_path(str(file)).values())


def test_a_task_does_what_it_says() -> None:
    dag = runpy.run_path(str(FILES[0].with_name("smoke.py")))["DAG"]
    assert dag.get_task("multiply").python_callable(6) == 42
