"""What the checks share: the target, its containers, its files, its packages."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from build_tasks.verify import inventory
from build_tasks.verify.container import Containers
from build_tasks.verify.inventory import File
from build_tasks.verify.plugin import TARGET, Packages, expect
from build_tasks.verify.target import Target

_PACKAGES = """
import importlib.metadata, json
from packaging.markers import default_environment
found = []
for one in importlib.metadata.distributions():
    found.append({
        "name": one.metadata["Name"],
        "version": one.version,
        "requires": one.requires or [],
        "extras": one.metadata.get_all("Provides-Extra") or [],
        "local": one.read_text("direct_url.json") is not None,
    })
print(json.dumps({"environment": default_environment(), "distributions": found}))
"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the checks that are for the other image, and put what takes long last."""
    items.sort(key=lambda item: item.path.name == "test_airflow.py")
    kind = config.stash[TARGET].kind
    items[:] = [
        item for item in items if all(mark.args[0] is kind for mark in item.iter_markers("only"))
    ]


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker of checks that are for one image."""
    config.addinivalue_line("markers", "only(kind): for this image only")


@pytest.fixture(scope="session")
def target(pytestconfig: pytest.Config) -> Target:
    """The image and what it has to hold."""
    return pytestconfig.stash[TARGET]


@pytest.fixture(scope="session")
def containers(target: Target) -> Iterator[Containers]:
    """The containers of this verification; none is left."""
    mine = Containers(target)
    yield mine
    mine.clear()


@pytest.fixture(scope="session")
def files(target: Target, containers: Containers) -> list[File]:
    """All files of the image."""
    exported = target.folder / f"{containers.token}.tar"
    try:
        ended = containers.export(exported)
        expect(not ended.returncode, f"the image cannot be exported: {ended.stderr.strip()}")
        return inventory.read(exported)
    finally:
        exported.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def packages(containers: Containers) -> Packages:
    """The Python distributions of the image."""
    ended = containers.python(_PACKAGES)
    expect(not ended.returncode, f"the packages cannot be listed: {ended.stderr.strip()}")
    said = json.loads(ended.stdout)
    return Packages(said["environment"], said["distributions"])
