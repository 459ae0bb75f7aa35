"""The entrypoint does what the documentation of Airflow's image promises."""

from __future__ import annotations

import pytest

from build_tasks.verify.container import Containers
from build_tasks.verify.plugin import CI, PROD, expect
from build_tasks.verify.target import Target

_NOWHERE = "postgresql+psycopg2://airflow:airflow@127.0.0.1:1/airflow"


def test_the_first_process_reaps_and_signals(target: Target) -> None:
    entrypoint = target.image.config.get("Entrypoint") or []
    expect(
        entrypoint[-1:] == ["/entrypoint"] and any("dumb-init" in word for word in entrypoint),
        f"the entrypoint is {entrypoint}, not dumb-init -- /entrypoint",
    )


@pytest.mark.parametrize(
    "command",
    [("bash", "-c", "echo from bash"), ("python", "-c", "print('from python')")],
    ids=lambda command: command[0],
)
def test_it_runs_what_it_is_given(containers: Containers, command: tuple[str, ...]) -> None:
    ended = containers.run(*command)
    expect(
        ended.stdout.strip() == f"from {command[0]}",
        f"{command}: {ended.stdout.strip()}{ended.stderr.strip()[-500:]}",
    )


def test_the_exit_status_is_the_commands(containers: Containers) -> None:
    ended = containers.run("bash", "-c", "exit 23")
    expect(ended.returncode == 23, f"the exit status of `exit 23` is {ended.returncode}")  # noqa: PLR2004 - stands beside it


@PROD
def test_a_command_of_airflow_needs_no_airflow_before_it(
    target: Target, containers: Containers
) -> None:
    ended = containers.run("version")
    expect(ended.stdout.strip().endswith(target.airflow), f"`version`: {ended.stderr[-500:]}")


@PROD
@pytest.mark.parametrize("command", [(), ("airflow",)], ids=["nothing", "airflow"])
def test_without_a_command_it_explains_and_fails(
    containers: Containers, command: tuple[str, ...]
) -> None:
    ended = containers.run(*command)
    expect(ended.returncode == 2, f"the exit status is {ended.returncode}, not argparse's 2")  # noqa: PLR2004 - stands beside it
    expect("usage: airflow" in (ended.stdout + ended.stderr).lower(), "nothing is explained")


@PROD
def test_it_waits_for_the_database_and_gives_up(containers: Containers) -> None:
    ended = containers.run(
        *("bash", "-c", "echo reached"),
        environment={
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _NOWHERE,
            "CONNECTION_CHECK_MAX_COUNT": "2",
            "CONNECTION_CHECK_SLEEP_TIME": "0",
        },
    )
    expect(ended.returncode and "reached" not in ended.stdout, "no database, and it went on")
    expect("2 of 2" in ended.stderr, f"it did not check twice: {ended.stderr[-500:]}")


@PROD
def test_no_wait_where_none_is_wanted(containers: Containers) -> None:
    ended = containers.run(
        *("bash", "-c", "echo reached"),
        environment={
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _NOWHERE,
            "CONNECTION_CHECK_MAX_COUNT": "0",
        },
    )
    expect(ended.stdout.strip() == "reached", f"it waited: {ended.stderr[-500:]}")


@PROD
def test_it_waits_for_celerys_broker(containers: Containers) -> None:
    ended = containers.run(
        *("celery", "worker"),
        environment={
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CELERY__BROKER_URL": "redis://:secret@127.0.0.1:1/0",
            "CONNECTION_CHECK_MAX_COUNT": "1",
        },
    )
    expect(ended.returncode and "broker" in ended.stderr, f"it did not: {ended.stderr[-500:]}")
    expect("secret" not in ended.stderr + ended.stdout, "it shows the broker's password")


@PROD
def test_its_port_is_8080(target: Target) -> None:
    ports = target.image.config.get("ExposedPorts") or {}
    expect("8080/tcp" in ports, f"the image exposes {sorted(ports)}, not 8080/tcp")


@PROD
@pytest.mark.parametrize("path", ["/clean-logs", "/airflow-scheduler-autorestart"])
def test_the_helpers_of_the_helm_chart_are_there(containers: Containers, path: str) -> None:
    ended = containers.run("bash", "-c", f"test -x {path} && bash -n {path}")
    expect(not ended.returncode, f"{path} is missing or broken: {ended.stderr[-300:]}")
    if path == "/clean-logs":
        script = (
            "cd logs && mkdir --parents dag/old dag/new && touch dag/new/1.log && "
            "touch --date '20 days ago' dag/old/1.log && { timeout 3 /clean-logs || true; } && "
            "test -e dag/new/1.log && test ! -e dag/old"
        )
        ended = containers.run("bash", "-c", script)
        expect(
            not ended.returncode, f"{path} does not remove old logs alone: {ended.stdout[-300:]}"
        )


@CI
def test_the_test_toolchain_works(containers: Containers) -> None:
    ended = containers.run("pytest", "--version")
    expect("pytest " in ended.stdout + ended.stderr, f"pytest: {ended.stderr[-500:]}")
