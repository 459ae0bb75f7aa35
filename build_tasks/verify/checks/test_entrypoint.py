"""The entrypoint behaves as the documentation of Airflow's image describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from build_tasks.buildx.containers import Containers
from build_tasks.process import Completed
from build_tasks.verify.plugin import (
    CI,
    CONTRACT,
    PROD,
    expect,
    expect_success,
    script,
    skip_if_arbitrary,
    skip_without_default_database,
)
from build_tasks.verify.target import Target

_USAGE_ERROR = 2
#: The variables of the log groomer, and the logs that it leaves, by their age in minutes.
GROOMED: Sequence[tuple[Mapping[str, str], Sequence[str]]] = (
    ({}, ("10", "90", "5760", "14400")),  # by default, 15 days
    ({"AIRFLOW__LOG_RETENTION_DAYS": "5"}, ("10", "90", "5760")),
    ({"AIRFLOW__LOG_RETENTION_DAYS": "0", "AIRFLOW__LOG_RETENTION_MINUTES": "60"}, ("10",)),
    ({"AIRFLOW__LOG_MAX_SIZE_BYTES": "2500"}, ("10", "90")),
    ({"AIRFLOW__LOG_MAX_SIZE_BYTES": "1000"}, ("10",)),
    ({"AIRFLOW__LOG_MAX_SIZE_PERCENT": "4"}, ("10", "90")),  # of 64 KiB
)
pytestmark = CONTRACT


def test_the_first_process_reaps_and_signals(target: Target) -> None:
    skip_if_arbitrary(target)
    entrypoint = target.image.config.get("Entrypoint") or []
    wrapped = any(image.start_script for image in target.own)
    expect(
        (wrapped or entrypoint[-1:] == ["/entrypoint"])
        and any("dumb-init" in word for word in entrypoint),
        f"the entrypoint is {entrypoint}, not dumb-init -- /entrypoint",
    )


@pytest.mark.parametrize(
    "command",
    [("bash", "-c", "echo from bash"), ("python", "-c", "print('from python')")],
    ids=lambda command: command[0],
)
def test_it_runs_what_it_is_given(containers: Containers, command: tuple[str, ...]) -> None:
    completed = containers.run(*command)
    output = completed.stdout.strip()
    expect(output == f"from {command[0]}", f"{command}: {output}{completed.stderr.strip()[-500:]}")


def test_the_exit_status_is_the_commands(containers: Containers) -> None:
    status, expected = containers.run("bash", "-c", "exit 23").returncode, 23
    expect(status == expected, f"the exit status of `exit 23` is {status}")


@PROD
def test_a_command_of_airflow_needs_no_airflow_before_it(
    target: Target, containers: Containers
) -> None:
    completed = containers.run("version")
    version = completed.stdout.strip()
    expect(version.endswith(target.airflow), f"`version`: {version}{completed.stderr[-500:]}")


@PROD
@pytest.mark.parametrize("command", [(), ("airflow",)], ids=["nothing", "airflow"])
def test_without_a_command_it_explains_and_fails(
    containers: Containers, command: tuple[str, ...]
) -> None:
    completed = containers.run(*command)
    status, output = completed.returncode, completed.stdout + completed.stderr
    expect(status == _USAGE_ERROR, f"the exit status is {status}, not argparse's {_USAGE_ERROR}")
    expect("usage: airflow" in output.lower(), "it prints no usage")


@PROD
def test_it_waits_for_the_database_and_gives_up(target: Target, containers: Containers) -> None:
    completed = _run_without_database(containers, checks=2)
    stopped = completed.returncode and "reached" not in completed.stdout
    expect(stopped, "it went on without a database")
    twice = target.contract or "2 of 2" in completed.stderr
    expect(twice, f"it did not check twice: {completed.stderr[-500:]}")


@PROD
def test_no_wait_where_none_is_wanted(containers: Containers) -> None:
    completed = _run_without_database(containers, checks=0)
    expect(completed.stdout.strip() == "reached", f"it waited: {completed.stderr[-500:]}")


@PROD
def test_it_waits_for_celerys_broker(target: Target, containers: Containers) -> None:
    skip_without_default_database(target)
    environment = {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CELERY__BROKER_URL": "redis://:secret@127.0.0.1:1/0",
        "CONNECTION_CHECK_MAX_COUNT": "1",
    }
    completed = containers.run("celery", "worker", environment=environment)
    waited = completed.returncode and (target.contract or "broker" in completed.stderr)
    expect(waited, f"it did not wait: {completed.stderr[-500:]}")
    shown = "secret" in completed.stderr + completed.stdout
    expect(not shown, "it shows the broker's password")


@PROD
def test_its_port_is_8080(target: Target) -> None:
    ports = target.image.config.get("ExposedPorts") or {}
    expect("8080/tcp" in ports, f"the image exposes {sorted(ports)}, not 8080/tcp")


@PROD
@pytest.mark.parametrize("path", ["/clean-logs", "/airflow-scheduler-autorestart"])
def test_the_helpers_of_the_helm_chart_are_there(containers: Containers, path: str) -> None:
    completed = containers.run("bash", "-c", f"test -x {path} && bash -n {path}")
    expect_success(completed, f"{path} is missing or broken")


@PROD
@pytest.mark.parametrize(("variables", "left"), GROOMED, ids=" ".join)
def test_the_log_groomer_removes_what_its_variables_say(
    target: Target, containers: Containers, variables: Mapping[str, str], left: Sequence[str]
) -> None:
    if target.contract and not variables.keys() <= {"AIRFLOW__LOG_RETENTION_DAYS"}:
        pytest.skip("only images of newer releases have this variable")
    own = dict(entry.split("=", 1) for entry in target.image.config.get("Env") or [])
    options = ("--tmpfs", f"{own.get('AIRFLOW_HOME', '/opt/airflow')}/logs:size=64k")
    run = containers.run
    completed = run("bash", "-c", script("clean_logs"), environment=variables, options=options)
    expect_success(completed, "/clean-logs fails")
    expected = ["kept.txt", *(f"dag/{minutes}/1.log" for minutes in left)]
    found = sorted(completed.stdout.split("\n")[:-1])
    message = f"left are {', '.join(found)}, not {', '.join(sorted(expected))}"
    expect(found == sorted(expected), f"{message}: {completed.stderr[-500:]}")


@CI
def test_the_test_toolchain_works(containers: Containers) -> None:
    expect_success(containers.run("pytest", "--version"), "pytest")


def _run_without_database(containers: Containers, *, checks: int) -> Completed:
    environment = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://a:b@127.0.0.1:1/airflow",
        "CONNECTION_CHECK_MAX_COUNT": str(checks),
        "CONNECTION_CHECK_SLEEP_TIME": "0",
    }
    return containers.run("bash", "-c", "echo reached", environment=environment)
