"""^C before anything runs: at once, unless somebody else has a say."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from build_tasks.front import startup


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_ends_the_process_at_once_until_it_may_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    startup.end_on_interrupt()
    os.kill(os.getpid(), signal.SIGINT)
    assert codes == [130]
    startup.raise_on_interrupt()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    startup.end_on_interrupt()
    startup.raise_on_interrupt()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
