"""What Airflow's Helm chart runs in the image works, for its user and for any other one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from build_tasks import paths
from build_tasks.buildx.containers import Containers
from build_tasks.verify.fixtures import Require, expect_healthy, start, variables
from build_tasks.verify.plugin import CONTRACT, PROD, expect, expect_success
from build_tasks.verify.target import Target

pytestmark = [CONTRACT, PROD]

CHART: dict[str, Any] = paths.read_data(Path(__file__).parents[1] / "chart.toml")
_CONTAINERS: dict[str, Any] = CHART["containers"]
COMPONENTS = [name for name, container in _CONTAINERS.items() if "probe" in container]
COMMANDS = [name for name in _CONTAINERS if name not in COMPONENTS]
#: The image's own user, which is the chart's by default, and one as OpenShift chooses it.
USERS = ("airflow", "1000650000")
#: The security context of the chart's containers.
_CONTEXT = ("--cap-drop", "ALL", "--security-opt", "no-new-privileges")
_MIGRATE = "run-airflow-migrations"


def _entered(name: str) -> bool:
    """Return whether a container starts through the image's entrypoint."""
    return "command" not in _CONTAINERS[name]


@pytest.fixture(scope="module")
def network(services: str) -> Sequence[str]:
    """Options of all containers: they find the database and the broker."""
    return ("--network", f"container:{services}", *variables(CHART["environment"]))


@pytest.fixture(scope="module")
def migrated(target: Target, containers: Containers, network: Sequence[str]) -> Sequence[str]:
    """The same after the job that migrates the database."""
    options = (*network, *_CONTEXT, "--user", f"{target.image.uid}:0")
    completed = containers.run(*_CONTAINERS[_MIGRATE]["args"], options=options)
    expect_success(completed, f"{_MIGRATE} fails")
    return network


@pytest.fixture(scope="module")
def running(
    containers: Containers, require: Require, migrated: Sequence[str]
) -> Iterator[Mapping[str, str]]:
    """The containers of the components by name, as a random user, with one volume for logs."""
    for name in COMPONENTS:
        require(_CONTAINERS[name].get("provider", ""), "")
    old = (
        "touch --date '20 days ago' /opt/airflow/logs/old.log; chmod 664 /opt/airflow/logs/old.log"
    )
    new = ("--volume=/opt/airflow/logs", "--entrypoint", "bash")
    volume = start(containers, "the volume of logs", "-c", old, options=new)
    expect(not containers.wait(volume), "no old log can be written")
    options = (*migrated, *_CONTEXT, "--user", f"{USERS[1]}:0", "--volumes-from", volume)
    names = {
        name: start(containers, name, *_CONTAINERS[name]["args"], options=options)
        for name in COMPONENTS
    }
    yield names
    containers.remove(*names.values(), volume)


def test_waiting_for_migrations_gives_up_without_them(
    containers: Containers, network: Sequence[str]
) -> None:
    command = ("airflow", "db", "check-migrations", "--migration-wait-timeout=1")
    address = "postgresql://airflow:airflow@postgres:5432/template1"
    environment = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": address}
    completed = containers.run(*command, environment=environment, options=network)
    output = completed.stdout + completed.stderr
    gave_up = completed.returncode and "unapplied migrations" in output
    expect(gave_up, f"a database without tables counts as migrated: {output.strip()[-500:]}")


@pytest.mark.parametrize(
    "command",
    # A command in place of the entrypoint finds no name for a random user, whatever the image.
    [(name, user) for name in COMMANDS for user in USERS if user == USERS[0] or _entered(name)],
    ids=" ".join,
)
def test_a_command_of_the_chart_works(
    target: Target,
    containers: Containers,
    require: Require,
    migrated: Sequence[str],
    command: tuple[str, str],
) -> None:
    name, user = command
    uid = target.image.uid if user == USERS[0] else user
    container = _CONTAINERS[name]
    require(container.get("provider", ""), container.get("program", ""))
    options = [*migrated, *variables(container.get("environment", {}))]
    options += () if container.get("root") else _CONTEXT
    options += ["--user", "0:0" if container.get("root") else f"{uid}:0"]
    if program := container.get("command"):
        options += ["--entrypoint", program]
    completed = containers.run(*container["args"], options=options)
    output = completed.stdout + completed.stderr
    if says := container.get("says"):
        reached = re.search(says, output) and "FileNotFoundError" not in output
        expect(reached, f"{name} does not come to {says}: {output.strip()[-500:]}")
    else:
        expect(not completed.returncode, f"{name} as {uid}:0: {output.strip()[-500:]}")


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_of_the_chart_is_alive(
    containers: Containers, running: Mapping[str, str], name: str
) -> None:
    expect_healthy(containers, running[name], _CONTAINERS[name]["probe"])
