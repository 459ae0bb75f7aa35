"""One browser for all tests here, unpacked into the tests' cache folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import chromium
import pytest
from chromium import Page

from build_tasks import paths

NEEDED = "AIRFLOW_IMAGES_TESTS_NEED_ENGINE"
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what stands in this folder; where no browser can be had, say so, or fail if it must."""
    impossible = chromium.impossible()
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if impossible and not os.environ.get(NEEDED):
                item.add_marker(pytest.mark.skip(reason=impossible))


@pytest.fixture(scope="session")
def browser() -> Path:
    """Where the browser is; it stays for the next run."""
    return chromium.unpacked(paths.cache_folder() / "tests" / "chromium")


@pytest.fixture
def page(browser: Path) -> Iterator[Page]:
    with chromium.browsing(browser) as page:
        yield page
