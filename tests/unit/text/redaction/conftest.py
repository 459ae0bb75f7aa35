"""Without the secrets of this machine."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest

from build_tasks.text import redaction
from build_tasks.text.redaction.known import KnownValues


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(redaction, "_known_values", functools.cache(KnownValues))
    yield
    monkeypatch.undo()
