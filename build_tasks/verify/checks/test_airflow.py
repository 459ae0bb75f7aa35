"""Airflow itself runs: on SQLite and on PostgreSQL, a DAG to success, server and scheduler."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from build_tasks import process
from build_tasks.buildx import commands
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
#: Write the DAG and run it; its file is no argument, so that a read-only home would be seen.
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
    """A PostgreSQL that containers reach on loopback, in its network."""

    container: str

    @property
    def options(self) -> tuple[str, ...]:
        """What puts a container into the database's network."""
        return ("--network", f"container:{self.container}")

    @property
    def environment(self) -> dict[str, str]:
        """What leads Airflow to it."""
        return {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://airflow@127.0.0.1/postgres",
            "CONNECTION_CHECK_SLEEP_TIME": "1",
        }


@pytest.fixture(scope="module")
def database(target: Target, containers: Containers, packages: Packages) -> Database:
    """A PostgreSQL of Debian's."""
    if "psycopg2-binary" not in {one["name"] for one in packages.distributions}:
        pytest.skip("the image has no driver of PostgreSQL")
    client = target.client
    tag = f"airflow-images/postgres:{target.python}"
    bundle = ["--secret", f"id=ca-bundle,src={target.ca_bundle}"] if target.ca_bundle else []
    options = ("--build-arg", f"BASE_IMAGE={target.base_image}", *bundle, "--tag", tag)
    command = commands.small_build_command(client, DEFAULT, _POSTGRES, *options)
    built = process.run(command, environment=client.environment, timeout=_START * 4, check=False)
    expect(not built.returncode, f"no PostgreSQL: {built.stderr[-1000:]}")
    started = containers.docker("run", "--detach", "--init", *containers.options()[:4], tag)
    expect(not started.returncode, f"PostgreSQL does not start: {started.stderr.strip()}")
    return Database(started.stdout.strip())


@pytest.fixture(scope="module")
def migrated(containers: Containers, database: Database) -> Database:
    """The database, with Airflow's tables."""
    ended = containers.run(
        *("bash", "-c", _RUN),
        environment={**database.environment, "VERIFY_DAG": _DAG},
        options=database.options,
    )
    _expect_success(ended)
    return database


def test_a_dag_succeeds_on_sqlite(containers: Containers) -> None:
    _expect_success(containers.run("bash", "-c", _RUN, environment={"VERIFY_DAG": _DAG}))


def test_a_dag_succeeds_on_postgresql(migrated: Database) -> None:
    expect(migrated, "the fixture says it")


@pytest.fixture
def running(containers: Containers, migrated: Database) -> Iterator[str]:
    """An API server and a scheduler; the name of the server's container."""
    started = []
    for command in ("api-server", "scheduler"):
        ended = containers.docker(
            *("run", "--detach", *containers.options(migrated.environment), *migrated.options),
            *(containers.target.image.reference, "airflow", command),
        )
        expect(not ended.returncode, f"{command} does not start: {ended.stderr.strip()}")
        started.append(ended.stdout.strip())
    yield started[0]
    containers.docker("rm", "--force", *started)


def test_server_and_scheduler_are_healthy(containers: Containers, running: str) -> None:
    deadline = time.monotonic() + _START
    said = "nothing"
    while time.monotonic() < deadline:
        asked = containers.docker("exec", running, "python", "-c", _HEALTH)
        said = asked.stdout.strip() or asked.stderr.strip()
        if not asked.returncode and _healthy(said):
            return
        time.sleep(2)
    logs = containers.docker("logs", "--tail", "20", running)
    expect(holds=False, message=f"/api/v2/monitor/health says {said}: {logs.stderr[-800:]}")


def _healthy(said: str) -> bool:
    parts = json.loads(said)
    scheduler = parts["scheduler"]
    return (
        parts["metadatabase"]["status"] == "healthy"
        and scheduler["status"] == "healthy"
        and bool(scheduler["latest_scheduler_heartbeat"])
    )


def _expect_success(ended: Completed) -> None:
    output = ended.stdout + ended.stderr
    expect(
        not ended.returncode and "state=success" in output.replace(" ", ""),
        f"the DAG did not succeed (exit status {ended.returncode}): {output[-1500:]}",
    )
