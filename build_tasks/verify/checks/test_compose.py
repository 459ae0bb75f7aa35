"""The services of Airflow's docker-compose.yaml are healthy, and run a DAG through the REST API."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from build_tasks import paths
from build_tasks.buildx.containers import Containers
from build_tasks.verify.fixtures import Require, expect_healthy, start, variables
from build_tasks.verify.plugin import CONTRACT, PROD, expect, script

pytestmark = [CONTRACT, PROD]

COMPOSE: dict[str, Any] = paths.read_data(Path(__file__).parents[1] / "compose.toml")
#: Seconds for a DAG to be found and to run; 90 were seen on two cores.
_RUN = 540
#: On a loaded machine, the API server may answer a task too late: Airflow then tries it again.
_DAG = """
from datetime import timedelta

from airflow.sdk import dag, task

RETRIES = {"retries": 3, "retry_delay": timedelta(seconds=5)}

@task(**RETRIES)
def number():
    return 6

@task(**RETRIES)
def check(value):
    print("verified", value * 7)

@dag(schedule=None)
def verify():
    check(number())

verify()
"""
#: Runs the DAG as the user that init made, and prints its state and the log of its last task.
_CLIENT = f"""
import json, sys, time, urllib.error, urllib.parse, urllib.request
until = time.monotonic() + {_RUN}

def ask(method, path, body=None, token=""):
    headers = {{"Accept": "application/json", "Content-Type": "application/json"}}
    if token:
        headers["Authorization"] = f"Bearer {{token}}"
    data = None if body is None else json.dumps(body).encode()
    address = "http://localhost:8080" + path
    request = urllib.request.Request(address, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)

def wait(what, attempt):
    reason = "not in time"
    while time.monotonic() < until:
        try:
            if result := attempt():
                return result
        except urllib.error.HTTPError as error:
            reason = f"{{error}}: {{error.read()[:300]}}"
        except OSError as error:
            reason = str(error)
        time.sleep(2)
    sys.exit(f"{{what}}: {{reason}}")

user = {{"username": "airflow", "password": "airflow"}}
token = wait("no token", lambda: ask("POST", "/auth/token", user)["access_token"])
dag = "/api/v2/dags/verify"
wait("no DAG", lambda: ask("PATCH", dag, {{"is_paused": False}}, token))
run = ask("POST", f"{{dag}}/dagRuns", {{"logical_date": None}}, token)["dag_run_id"]
run = f"{{dag}}/dagRuns/{{urllib.parse.quote(run)}}"

def state():
    found = ask("GET", run, token=token)["state"]
    return found if found in ("success", "failed") else ""

result = wait("no result", state)
task, log = f"{{run}}/taskInstances/check", ""
tries = wait("no task", lambda: ask("GET", task, token=token))["try_number"]
if tries:  # none if the task before it failed
    log = wait("no log", lambda: ask("GET", f"{{task}}/logs/{{tries}}", token=token))
print("RESULT", json.dumps({{"state": result, "log": json.dumps(log)}}))
"""


@pytest.fixture(scope="module")
def running(containers: Containers, require: Require, services: str) -> Iterator[Mapping[str, str]]:
    """The containers of the services by name, after airflow-init."""
    for provider in ("celery", "fab"):
        require(provider, "")
    network = ("--network", f"container:{services}", *variables(COMPOSE["environment"]))
    init = COMPOSE["init"]
    options = [*network, *variables({**init["environment"], "VERIFY_DAG": _DAG})]
    options += ["--user", init["user"], "--entrypoint", init["entrypoint"]]
    options += [f"--volume={folder}" for folder in COMPOSE["volumes"]]
    started = start(containers, "airflow-init", "-c", script("compose_init"), options=options)
    status = containers.wait(started)
    log = containers.logs(started, lines=20)
    expect(not status, f"airflow-init ends with {status}: {(log.stdout + log.stderr)[-800:]}")
    names = {"airflow-init": started}
    for name, service in COMPOSE["services"].items():
        options = [*network, *variables(service.get("environment", {}))]
        options += ["--user", COMPOSE["user"], "--volumes-from", started]
        names[name] = start(containers, name, *service["command"], options=options)
    yield names
    containers.remove(*names.values())


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_service_of_the_compose_file_is_healthy(
    containers: Containers, running: Mapping[str, str], name: str
) -> None:
    expect_healthy(containers, running[name], COMPOSE["services"][name]["healthcheck"])


def test_a_dag_runs_on_the_worker_and_its_log_can_be_read(
    containers: Containers, running: Mapping[str, str]
) -> None:
    completed = containers.execute(running["airflow-apiserver"], "python", "-c", _CLIENT)
    result = completed.stdout.rpartition("RESULT ")[2]
    expect(result, f"the DAG does not run: {completed.stderr.strip()[-800:]}")
    answer = json.loads(result)
    log = answer["log"]
    expect(answer["state"] == "success", f"the DAG ends with {answer['state']}: {log[-800:]}")
    expect("verified 42" in log, f"its log lacks what the task printed: {log[-800:]}")
