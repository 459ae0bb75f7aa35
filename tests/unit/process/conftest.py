"""Tests of the package that starts programs start real ones."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_programs() -> None:
    """Allow what other unit tests must not do."""
