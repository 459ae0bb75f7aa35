"""Airflow runs a DAG on SQLite and on PostgreSQL, and its server and scheduler are healthy."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from build_tasks import process
from build_tasks.buildx import commands, docker
from build_tasks.model.builder import DEFAULT
from build_tasks.process import Completed
from build_tasks.verify.container import Containers
from build_tasks.verify.plugin import Packages, expect
from build_tasks.verify.target import Target

_POSTGRES = Path(__file__).parents[1] / "postgres"
#: Seconds for a database or a server to answer; 5 and 40 were seen on two cores.
_START = 300.0
_DAG = """
from airflow.sdk import dag, task


@dag(schedule=None)
def verify():
    @task
    def number():
        return 6

    @task
    def check(value):
        assert value * 7 == 42

    check(number())


verify()
"""
#: Writes the DAG into the home and runs it, which fails if the home is read-only.
_RUN = """
set -e
mkdir -p "${AIRFLOW_HOME}/dags"
printf '%s' "${VERIFY_DAG}" > "${AIRFLOW_HOME}/dags/verify.py"
airflow db migrate
airflow dags test verify
"""
_HEALTH = """
import json, sys, urllib.request
try:
    with urllib.request.urlopen("http://127.0.0.1:8080/api/v2/monitor/health", timeout=5) as answer:
        print(answer.read().decode())
except OSError as error:
    sys.exit(str(error))
"""


@dataclass(frozen=True)
class Database:
    """A PostgreSQL server; containers that share its network reach it on loopback."""

    container: str

    @property
    def options(self) -> tuple[str, ...]:
        """Options that put a container into the network of the database."""
        return ("--network", f"container:{self.container}")

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make Airflow use the database."""
        return {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://airflow@127.0.0.1/postgres",
            "CONNECTION_CHECK_SLEEP_TIME": "1",
        }


@pytest.fixture(scope="module")
def database(target: Target, containers: Containers, packages: Packages) -> Database:
    """Debian's PostgreSQL in a container."""
    if "psycopg2-binary" not in {package["name"] for package in packages.distributions}:
        pytest.skip("the image has no driver for PostgreSQL")
    client = target.client
    tag = f"airflow-images/postgres:{target.build.python}"
    bundle = ["--secret", f"id=ca-bundle,src={target.ca_bundle}"] if target.ca_bundle else []
    options = ("--build-arg", f"BASE_IMAGE={target.base_image}", *bundle, "--tag", tag)
    command = commands.small_build_command(client, DEFAULT, _POSTGRES, *options)
    built = process.run(command, environment=client.environment, timeout=_START * 4, check=False)
    expect(not built.returncode, f"PostgreSQL cannot be built: {built.stderr[-1000:]}")
    started = containers.start(image=tag, options=("--init",))
    expect(not started.returncode, f"PostgreSQL does not start: {started.stderr.strip()}")
    return Database(started.stdout.strip())


@pytest.fixture(scope="module")
def migrated(containers: Containers, database: Database) -> Database:
    """The database after a DAG has run, with Airflow's tables."""
    environment = {**database.environment, "VERIFY_DAG": _DAG}
    _expect_success(
        containers.run("bash", "-c", _RUN, environment=environment, options=database.options)
    )
    return database


def test_a_dag_succeeds_on_sqlite(containers: Containers) -> None:
    _expect_success(containers.run("bash", "-c", _RUN, environment={"VERIFY_DAG": _DAG}))


def test_a_dag_succeeds_on_postgresql(migrated: Database) -> None:
    expect(migrated, "the fixture runs the DAG")


@pytest.fixture
def server(containers: Containers, migrated: Database) -> Iterator[str]:
    """The container of an API server, beside a scheduler."""
    started = []
    for command in ("api-server", "scheduler"):
        completed = containers.start(
            *("airflow", command), environment=migrated.environment, options=migrated.options
        )
        expect(not completed.returncode, f"{command} does not start: {completed.stderr.strip()}")
        started.append(completed.stdout.strip())
    yield started[0]
    containers.execute(docker.remove_command(containers.target.client, started))


def test_server_and_scheduler_are_healthy(containers: Containers, server: str) -> None:
    client = containers.target.client
    command = docker.execute_command(client, server, "python", "-c", _HEALTH)
    deadline = time.monotonic() + _START
    answer = "nothing"
    while time.monotonic() < deadline:
        completed = containers.execute(command)
        answer = completed.stdout.strip() or completed.stderr.strip()
        if not completed.returncode and _healthy(answer):
            return
        time.sleep(2)
    logs = containers.execute(docker.logs_command(client, server, lines=20))
    expect(holds=False, message=f"/api/v2/monitor/health says {answer}: {logs.stderr[-800:]}")


def _healthy(answer: str) -> bool:
    parts = json.loads(answer)
    scheduler = parts["scheduler"]
    return (
        parts["metadatabase"]["status"] == "healthy"
        and scheduler["status"] == "healthy"
        and bool(scheduler["latest_scheduler_heartbeat"])
    )


def _expect_success(completed: Completed) -> None:
    output = completed.stdout + completed.stderr
    expect(
        not completed.returncode and "state=success" in output.replace(" ", ""),
        f"the DAG did not succeed (exit status {completed.returncode}): {output[-1500:]}",
    )
