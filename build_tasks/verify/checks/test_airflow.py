"""Airflow runs a DAG on SQLite and on PostgreSQL, and its server and scheduler are healthy."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from build_tasks.buildx.containers import Containers
from build_tasks.process import Completed
from build_tasks.verify.fixtures import START
from build_tasks.verify.plugin import (
    CONTRACT,
    expect,
    expect_success,
    script,
    skip_without_default_database,
)
from build_tasks.verify.target import Target

pytestmark = CONTRACT

_DAG = """
from airflow.sdk import dag, task

@task
def number():
    return 6

@task
def check(value):
    assert value * 7 == 42

@dag(schedule=None)
def verify():
    check(number())

verify()
"""
#: Options of a container.
Database = tuple[str, ...]
_DATABASE = (
    "--env=AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=postgresql+psycopg2://airflow@127.0.0.1/postgres",
    "--env=CONNECTION_CHECK_SLEEP_TIME=1",
)
_HEALTH = """
import json, sys, urllib.request
try:
    with urllib.request.urlopen("http://127.0.0.1:8080/api/v2/monitor/health", timeout=5) as answer:
        print(answer.read().decode())
except OSError as error:
    sys.exit(str(error))
"""


@pytest.fixture(scope="module")
def migrated(containers: Containers, services: str) -> Database:
    """The database after a DAG has run, with Airflow's tables."""
    database = ("--network", f"container:{services}", *_DATABASE)
    _run_dag(containers, database)
    return database


def test_a_dag_succeeds_on_sqlite(target: Target, containers: Containers) -> None:
    skip_without_default_database(target)
    _run_dag(containers)


def test_a_dag_succeeds_on_postgresql(migrated: Database) -> None:
    expect(migrated, "the fixture runs the DAG")


@pytest.fixture
def server(containers: Containers, migrated: Database) -> Iterator[str]:
    """The container of an API server, beside a scheduler."""
    started = []
    for command in ("api-server", "scheduler"):
        completed = containers.start("airflow", command, options=migrated)
        expect_success(completed, f"{command} does not start")
        started.append(completed.stdout.strip())
    yield started[0]
    containers.remove(*started)


def test_server_and_scheduler_are_healthy(containers: Containers, server: str) -> None:
    deadline = time.monotonic() + START
    answer = "nothing"
    while time.monotonic() < deadline:
        completed = containers.execute(server, "python", "-c", _HEALTH)
        answer = completed.stdout.strip() or completed.stderr.strip()
        if not completed.returncode and _healthy(answer):
            return
        time.sleep(2)
    logs = containers.logs(server, lines=20).stderr[-800:]
    pytest.fail(f"/api/v2/monitor/health says {answer}: {logs}", pytrace=False)


def _healthy(answer: str) -> bool:
    parts = json.loads(answer)
    statuses = {parts[name]["status"] for name in ("metadatabase", "scheduler")}
    return statuses == {"healthy"} and bool(parts["scheduler"]["latest_scheduler_heartbeat"])


def _run_dag(containers: Containers, options: Database = ()) -> None:
    environment = {"VERIFY_DAG": _DAG}
    _expect_dag(
        containers.run("bash", "-c", script("run_dag"), environment=environment, options=options)
    )


def _expect_dag(completed: Completed) -> None:
    output = completed.stdout + completed.stderr
    expect(
        not completed.returncode and "state=success" in output.replace(" ", ""),
        f"the DAG did not succeed (exit status {completed.returncode}): {output[-1500:]}",
    )
