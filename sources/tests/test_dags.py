"""The DAGs of this image parse, and their tasks do what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

DAGS = Path(__file__).parents[1] / "dags"


@pytest.fixture(scope="session")
def dags(tmp_path_factory: pytest.TempPathFactory) -> dict:
    from airflow.models.dagbag import DagBag

    bag = DagBag(dag_folder=str(DAGS), include_examples=False)
    assert bag.import_errors == {}
    return bag.dags


def test_every_dag_parses(dags: dict) -> None:
    assert "smoke" in dags


def test_a_task_does_what_it_says(dags: dict) -> None:
    assert dags["smoke"].get_task("multiply").python_callable(6) == 42
