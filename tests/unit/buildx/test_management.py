from __future__ import annotations

from collections.abc import Callable

import pytest

from build_tasks import process
from build_tasks.buildx import management
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import EngineError
from build_tasks.model import builder
from build_tasks.process import Command, Completed

CLIENT = Client("docker", ("docker-buildx",), {})


@pytest.mark.parametrize(
    "verb",
    [
        lambda: management.create(CLIENT, builder.default_builder("b"), None),
        lambda: management.remove(CLIENT, "b"),
        lambda: management.bootstrap(CLIENT, "b"),
    ],
)
def test_a_failure_has_its_class(
    verb: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: Command, **_: object) -> Completed:
        return Completed(command, 1, "", 'ERROR: no builder "b" found')

    monkeypatch.setattr(process, "stream", fail)
    monkeypatch.setattr(process, "run", fail)
    with pytest.raises(EngineError, match=r'^builder b: no builder "b" found'):
        verb()


def test_the_command_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(process, "stream", lambda command, **_: Completed(command, 0, "", ""))
    management.remove(CLIENT, "b")
    assert capsys.readouterr().err == "+ docker-buildx rm --force b\n"
