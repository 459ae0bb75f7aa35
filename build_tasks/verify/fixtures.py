"""What the checks of an image use: the image, its containers, files and packages.

A project's own checks use `image`, `run` and `python`, which docs/prod.md describes: these keep
what they do. They are functions of a module: pytest warns of session fixtures that are methods.
"""

from __future__ import annotations

import json
import shlex
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import pytest
from packaging.utils import canonicalize_name

from build_tasks import process
from build_tasks.buildx import commands
from build_tasks.buildx.containers import Containers
from build_tasks.model.builder import DEFAULT
from build_tasks.process import Completed
from build_tasks.verify import inventory
from build_tasks.verify.inventory import File
from build_tasks.verify.plugin import TARGET, expect_success
from build_tasks.verify.target import Image, Target

#: Seconds for a database or a server to answer; 5 and 40 were seen on two cores.
START = 300.0
#: Seconds to build the image with PostgreSQL and Redis.
_BUILD = 1200.0
_PACKAGES = """
import importlib.metadata, json
try:
    from packaging.markers import default_environment
except ImportError:
    from pip._vendor.packaging.markers import default_environment
packages = []
for package in importlib.metadata.distributions():
    packages.append({
        "name": package.metadata["Name"],
        "version": package.version,
        "requires": package.requires or [],
        "extras": package.metadata.get_all("Provides-Extra") or [],
        "local": package.read_text("direct_url.json") is not None,
    })
print(json.dumps([default_environment(), packages]))
"""


#: Names what a check needs of an image: a provider, a program.
Require = Callable[[str, str], None]


class Run(Protocol):
    """A function for the checks of a project."""

    def __call__(self, *command: str, environment: Mapping[str, str] | None = None) -> str:
        """Run a command in a new container, and return its output without spaces around it."""


class Packages(NamedTuple):
    """The Python distributions of the image."""

    environment: dict[str, str]  # for their markers
    distributions: dict[str, dict[str, Any]]  # by canonical name


@pytest.fixture(scope="session", name="target")
def target_fixture(pytestconfig: pytest.Config) -> Target:
    """The image and what it has to contain."""
    return pytestconfig.stash[TARGET]


@pytest.fixture(scope="session")
def image(target: Target) -> Image:
    """The image: `reference`, `labels`, `config`, `platform`, `python` and `airflow`."""
    return target.image


@pytest.fixture(scope="session")
def run(containers: Containers) -> Run:
    """Return a function that runs a command through the entrypoint, and returns its output."""

    def function(*command: str, environment: Mapping[str, str] | None = None) -> str:
        return _output(containers.run(*command, environment=environment), shlex.join(command))

    return function


@pytest.fixture(scope="session")
def python(containers: Containers) -> Callable[[str], str]:
    """Return a function that runs a script with the image's Python, and returns its output."""

    def function(script: str) -> str:
        return _output(containers.python(textwrap.dedent(script)), "the script")

    return function


def _output(completed: Completed, name: str) -> str:
    """Return the output of a command, which has to succeed."""
    expect_success(completed, f"{name} ends with {completed.returncode}")
    return completed.stdout.strip()


@pytest.fixture(scope="session")
def containers(target: Target) -> Iterator[Containers]:
    """The containers of this verification, removed at its end."""
    image = target.image
    # The entrypoint would wait for the database of the project, which is not there.
    waits = {"CONNECTION_CHECK_MAX_COUNT": "0"} if target.names_database else {}
    started = Containers(target.client, image.reference, image.platform, environment=waits)
    yield started
    started.clear()


@pytest.fixture(scope="session")
def services(target: Target, containers: Containers, packages: Packages) -> str:
    """The container with PostgreSQL and Redis; what runs in its network finds them by name."""
    if "psycopg2-binary" not in packages.distributions and not target.contract:
        pytest.skip("the image has no driver for PostgreSQL")
    client = target.client
    tag = f"airflow-images/services:{target.build.python}"
    command = commands.small_build_command(client, DEFAULT, target.services, tag)
    built = process.run(command, environment=client.environment, timeout=_BUILD, check=False)
    expect_success(built, "PostgreSQL and Redis cannot be built")
    names = [f"--add-host={name}:127.0.0.1" for name in ("postgres", "redis", "airflow-apiserver")]
    started = containers.start(image=tag, options=("--init", *names))
    expect_success(started, "PostgreSQL and Redis do not start")
    return started.stdout.strip()


@pytest.fixture(scope="session")
def require(target: Target, containers: Containers, packages: Packages) -> Require:
    """Return a function that skips a check if an image that need not have something lacks it."""

    def skip(provider: str, program: str) -> None:
        if target.contract:
            return
        if "AIRFLOW_HOME=/opt/airflow" not in (target.image.config.get("Env") or ()):
            pytest.skip("the image has another AIRFLOW_HOME than Airflow's chart and compose file")
        if provider and f"apache-airflow-providers-{provider}" not in packages.distributions:
            pytest.skip(f"the image has no provider {provider}")
        if program and containers.run("bash", "-c", f"command -v {program}").returncode:
            pytest.skip(f"the image has no {program}")

    return skip


@pytest.fixture(scope="session")
def files(target: Target, containers: Containers) -> list[File]:
    """All files of the image."""
    exported = target.folder / f"{containers.token}.tar"
    try:
        expect_success(containers.export(exported), "the image cannot be exported")
        return inventory.read(exported)
    finally:
        exported.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def packages(containers: Containers) -> Packages:
    """The Python distributions of the image."""
    completed = containers.python(_PACKAGES)
    expect_success(completed, "the packages cannot be listed")
    environment, distributions = json.loads(completed.stdout)
    found = Packages(environment, {})
    for package in distributions:
        found.distributions[canonicalize_name(package["name"])] = package
    return found


def expect_healthy(containers: Containers, container: str, probe: Sequence[str]) -> None:
    """Fail the check unless a probe in a running container succeeds in time."""
    deadline = time.monotonic() + START
    while (completed := containers.execute(container, *probe)).returncode:
        # Docker's own words: a container that has ended comes back to no health.
        if time.monotonic() > deadline or "is not running" in completed.stderr:
            logs = containers.logs(container, lines=20)
            answer = (completed.stderr.strip() or completed.stdout.strip())[-300:]
            pytest.fail(f"{answer}: {(logs.stdout + logs.stderr)[-800:]}", pytrace=False)
        time.sleep(2)


def variables(environment: Mapping[str, str]) -> list[str]:
    """Return options of a container that set variables."""
    return [f"--env={name}={value}" for name, value in environment.items()]


def start(containers: Containers, name: str, *command: str, options: Sequence[str] = ()) -> str:
    """Start a container in the background, and return its id."""
    completed = containers.start(*command, options=options)
    expect_success(completed, f"{name} does not start")
    return completed.stdout.strip()
