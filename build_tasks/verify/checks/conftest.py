"""Fixtures of the checks: the image, its containers, its files, its packages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from build_tasks.buildx.containers import Containers
from build_tasks.verify import inventory
from build_tasks.verify.inventory import File
from build_tasks.verify.plugin import TARGET, Packages, expect_success
from build_tasks.verify.target import Target

_PACKAGES = """
import importlib.metadata, json
from packaging.markers import default_environment
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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Drop the checks for the other kind of image, and put the slowest ones last."""
    items.sort(key=lambda item: item.path.name == "test_airflow.py")
    kind = config.stash[TARGET].build.kind
    items[:] = [
        item for item in items if all(mark.args[0] is kind for mark in item.iter_markers("only"))
    ]


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of checks that are for one kind of image."""
    config.addinivalue_line("markers", "only(kind): for this kind of image only")


@pytest.fixture(scope="session")
def target(pytestconfig: pytest.Config) -> Target:
    """The image and what it has to contain."""
    return pytestconfig.stash[TARGET]


@pytest.fixture(scope="session")
def containers(target: Target) -> Iterator[Containers]:
    """The containers of this verification, removed at its end."""
    image = target.image
    containers = Containers(target.client, image.reference, image.platform)
    yield containers
    containers.clear()


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
    by_name: dict[str, Any] = {
        canonicalize_name(package["name"]): package for package in distributions
    }
    return Packages(environment, by_name)
