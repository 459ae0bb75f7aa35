"""What the checks of an image use: the image, its containers, files and packages.

They are functions of a module: pytest warns of session fixtures that are methods.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from packaging.utils import canonicalize_name

from build_tasks.buildx.containers import Containers
from build_tasks.verify import inventory
from build_tasks.verify.inventory import File
from build_tasks.verify.plugin import TARGET, expect_success
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


class Packages(NamedTuple):
    """The Python distributions of the image."""

    environment: dict[str, str]  # for their markers
    distributions: dict[str, dict[str, Any]]  # by canonical name


@pytest.fixture(scope="session", name="target")
def target_fixture(pytestconfig: pytest.Config) -> Target:
    """The image and what it has to contain."""
    return pytestconfig.stash[TARGET]


@pytest.fixture(scope="session")
def containers(target: Target) -> Iterator[Containers]:
    """The containers of this verification, removed at its end."""
    image = target.image
    started = Containers(target.client, image.reference, image.platform)
    yield started
    started.clear()


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
