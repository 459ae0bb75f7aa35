from __future__ import annotations

from pathlib import Path

import pytest

from build_tasks.config import loading
from build_tasks.config.settings import Settings
from build_tasks.errors import UsageError
from build_tasks.inputs.ca_bundle import LIMIT
from build_tasks.model.build import Secret
from build_tasks.plan import step_secrets
from build_tasks.text import redaction


def settings(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "images.toml"
    file.write_text(f"[build]\n{text}\n")
    return loading.load(environment={}, file=file)


def test_files_are_below_the_root_and_variables_keep_their_names(tmp_path: Path) -> None:
    loaded = settings(
        tmp_path,
        'secrets = { a = "env:SOME_TOKEN", b = "file:secret/b", c = "file:/c" }\n'
        'ssh = ["default", "git=keys/id"]',
    )
    assert step_secrets.secrets(loaded) == (
        Secret("a", variable="SOME_TOKEN"),
        Secret("b", tmp_path / "secret/b"),
        Secret("c", Path("/c")),
    )
    assert step_secrets.ssh(loaded) == ("default", f"git={tmp_path}/keys/id")


def test_values_are_hidden_from_then_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine h login me password canary-in-netrc-1\n")
    monkeypatch.setenv("HARMLESS_NAME", "canary-in-variable-1")
    step_secrets.check(
        settings(tmp_path, 'secrets = { a = "env:HARMLESS_NAME", b = "file:netrc" }')
    )
    assert redaction.redact("x canary-in-variable-1 y canary-in-netrc-1 z") == "x *** y *** z"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('secrets = { a = "env:NOT_SET" }', "the variable NOT_SET of a is not set"),
        ('secrets = { a = "env:EMPTY" }', "the variable EMPTY of a is empty"),
        ('secrets = { a = "file:none" }', "the file ROOT/none of a cannot be read: No such file"),
        ('secrets = { a = "file:empty" }', "the file ROOT/empty of a is empty"),
        ('secrets = { a = "file:big" }', "the file ROOT/big of a has 500 KiB, and BuildKit"),
        ('ssh = ["git"]', "git: expected default, or ID=PATH of a socket or a key"),
        ('ssh = ["default"]', "default: no SSH agent runs: SSH_AUTH_SOCK is not set"),
        ('ssh = ["git=none"]', "git: no such file: ROOT/none"),
    ],
)
def test_what_is_missing_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "big").write_text("x" * (LIMIT + 1))
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(UsageError) as caught:
        step_secrets.check(settings(tmp_path, text))
    place = f"images.toml: build.{text.partition(' ')[0]}: "
    assert str(caught.value).replace(str(tmp_path), "ROOT").startswith(place + message)


def test_an_agent_that_runs_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "socket").touch()
    loaded = settings(tmp_path, 'ssh = ["default", "git=socket"]')
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "socket"))
    step_secrets.check(loaded)
    monkeypatch.setenv("SSH_AUTH_SOCK", "/gone")
    with pytest.raises(UsageError, match="default: no such file: /gone"):
        step_secrets.check(loaded)
