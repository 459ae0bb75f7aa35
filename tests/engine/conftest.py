"""One embedded engine for all tests here, apart from the user's own."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from suite import Suite, clean

from build_tasks import paths
from build_tasks.engine import apt, lifecycle, packages, stand_ins, state
from build_tasks.engine.folders import engine_folders
from build_tasks.engine.state import EmbeddedEngine
from build_tasks.errors import EngineError

NEEDED = "AIRFLOW_IMAGES_TESTS_NEED_ENGINE"
HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what stands in this folder; where no engine can be had, say so, or fail if it must.

    What is for the nightly run is left out, unless `-m` asks for it.
    """
    if "nightly" not in config.option.markexpr:
        nightly = [item for item in items if item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=nightly)
        items[:] = [item for item in items if item not in nightly]
    ours = [item for item in items if HERE in item.path.parents]
    try:
        packages.check_supported()
        apt.codename()
    except EngineError as error:
        impossible = str(error)
    else:
        impossible = ""
    for item in ours:
        item.add_marker(pytest.mark.engine)
        if impossible and not os.environ.get(NEEDED):
            item.add_marker(pytest.mark.skip(reason=impossible))


@pytest.fixture(scope="session")
def cache() -> Path:
    """Where the tests' engine lives: packages and bases stay for the next run."""
    return paths.cache_folder() / "tests"


@pytest.fixture
def metadata(cache: Path) -> Path:
    """The metadata folder, emptied: tests that ran a shown command left a file there."""
    folder = cache / "metadata"
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    return folder


@pytest.fixture(scope="session")
def engine(cache: Path) -> Iterator[EmbeddedEngine]:
    """The embedded engine, with nothing in its cache of builds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_IMAGES_CACHE", str(cache))
        patch.delenv(packages.RELEASE_VARIABLE, raising=False)
        yield lifecycle.start(announce=print)
        lifecycle.stop(announce=print)


@pytest.fixture
def gateway(engine: EmbeddedEngine) -> str:
    """The address by which steps reach this machine."""
    del engine  # it has to run
    return state.saved_setting(engine_folders(), "addresses").replace(".0/20", ".1")


@pytest.fixture(scope="session")
def suite(engine: EmbeddedEngine, cache: Path) -> Suite:
    """The suite on that engine; a run has names of its own, so that no other's cache counts."""
    environment = {
        **clean(),
        "AIRFLOW_IMAGES_CACHE": str(cache),
        "AIRFLOW_IMAGES_ENGINE": "embedded",
        "AIRFLOW_IMAGES_CACHE_BRANCH": "main",  # whatever is checked out
        "AIRFLOW_IMAGES_REPOSITORY": f"tests/run-{secrets.token_hex(4)}",
        "DOCKER_CONFIG": str(cache / "docker-config"),
        "NOX_SCRIPT_MODE": "none",
        "NO_COLOR": "1",
    }
    docker = (str(engine.docker), "--host", engine.host)
    here = Suite(environment, docker=docker, config=engine.environment["DOCKER_CONFIG"])
    here.good("cache.prune", "--all")
    return here


@pytest.fixture(scope="session")
def buildx(suite: Suite, engine: EmbeddedEngine) -> Suite:
    """The suite with buildx itself in the place of docker, for images that nobody should make."""
    return replace(suite.having(DOCKER_HOST=engine.host), docker=(str(engine.buildx),))


@pytest.fixture(scope="session")
def base(engine: EmbeddedEngine, suite: Suite) -> str:
    """The base image of Python 3.11 for this machine, made where it has to be."""
    if not engine.hub:
        return stand_ins.ensure_python(engine, "3.11", [apt.architecture()], print)
    words = suite.good("image.build", "--python", "3.11", "--dry-run").stdout.split()
    return next(word for word in words if word.startswith("BASE_IMAGE=")).partition("=")[2]


@pytest.fixture
def project(suite: Suite, tmp_path: Path) -> Suite:
    """The suite at a copy of the checkout that the test may change."""
    return suite.copy(tmp_path / "project")


@pytest.fixture
def bare(suite: Suite, engine: EmbeddedEngine, tmp_path: Path) -> Iterator[Suite]:
    """The suite with no engine yet; the packages of the tests' own engine are there."""
    cache = tmp_path / "cache"
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    (cache / "engine").mkdir(parents=True)
    (cache / "engine/packages").symlink_to(engine_folders().home / "packages")
    there = suite.copy(tmp_path / "project")
    (there.root / "Dockerfile.ci").write_text("FROM scratch\nCOPY sources /x\n")
    there = there.having(AIRFLOW_IMAGES_CACHE=str(cache), TMPDIR=str(temporary))
    yield there
    there.good("engine.stop")
