from __future__ import annotations

import base64
import ctypes
import json
from pathlib import Path

import pytest

from build_tasks.engine import credentials
from build_tasks.engine.state import Folders
from build_tasks.errors import EngineError
from build_tasks.text import redaction

REGISTRY = "127.0.0.1:5000"


@pytest.fixture
def where(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "engine")


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    folder = tmp_path / "docker"
    folder.mkdir()
    return folder


def config(where: Folders) -> dict[str, object]:
    text = (credentials.configuration(where) / "config.json").read_text()
    loaded: dict[str, object] = json.loads(text)
    return loaded


def test_a_registry_has_a_secret_that_lasts_and_that_root_alone_can_read(where: Folders) -> None:
    assert credentials.authorization(where) == ""
    passwords = credentials.make(where)
    first = credentials.authorization(where)
    user, _, password = base64.b64decode(first.removeprefix("Basic ")).decode().partition(":")
    assert user == "airflow-images"
    name, _, hashed = passwords.read_text().strip().partition(":")
    assert name == user
    assert credentials._crypt(password, hashed) == hashed
    assert passwords.parent.stat().st_mode & 0o777 == 0o700
    assert password not in passwords.read_text()
    credentials.make(where)
    assert credentials.authorization(where) == first


def test_a_machine_without_bcrypt_is_one_line(
    where: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: str) -> None:
        raise OSError

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(EngineError, match="has no bcrypt"):
        credentials.make(where)


def test_the_users_own_credentials_stay_beside_the_registrys(where: Folders, theirs: Path) -> None:
    """With credsStore, docker asks no file for a registry that no empty helper is named for."""
    credentials.make(where)
    own = {
        "auths": {"ghcr.io": {"auth": "dTpw"}},
        "credsStore": "pass",
        "credHelpers": {"gcr.io": "gcloud"},
        "proxies": {},
    }
    (theirs / "config.json").write_text(json.dumps(own))
    credentials.configure(where, REGISTRY, theirs)
    token = credentials.authorization(where).removeprefix("Basic ")
    assert config(where) == {
        **own,
        "auths": {"ghcr.io": {"auth": "dTpw"}, REGISTRY: {"auth": token}},
        "credHelpers": {"gcr.io": "gcloud", REGISTRY: ""},
    }
    assert json.loads((theirs / "config.json").read_text()) == own


def test_the_secret_is_hidden_wherever_it_is_shown(where: Folders, theirs: Path) -> None:
    credentials.make(where)
    token = credentials.authorization(where).removeprefix("Basic ")
    password = base64.b64decode(token).decode().partition(":")[2]
    credentials.configure(where, REGISTRY, theirs)
    for text in (f"it is {password} here", f"data {token}"):
        assert password not in redaction.redact(text)
        assert token not in redaction.redact(text)
        assert redaction.HIDDEN in redaction.redact(text)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"auths": 1, "credHelpers": []}', "[" * 100_000])
def test_what_is_no_configuration_counts_as_none(where: Folders, theirs: Path, text: str) -> None:
    (theirs / "config.json").write_text(text)
    credentials.configure(where, REGISTRY, theirs)
    assert config(where)["credHelpers"] == {REGISTRY: ""}


def test_what_else_a_user_has_there_is_linked_and_followed(where: Folders, theirs: Path) -> None:
    ours = credentials.configure(where, REGISTRY, theirs / "nothing")
    for name in ("contexts", "buildx", "gone"):
        (theirs / name).mkdir()
    (theirs / ".token_seed").touch()
    (ours / ".token_seed").touch()
    for _ in range(2):
        credentials.configure(where, REGISTRY, theirs)
    names = {path.name for path in ours.iterdir() if path.is_symlink()}
    assert names == {"contexts", "gone"}
    (theirs / "gone").rmdir()
    before = (ours / "config.json").stat().st_mtime_ns
    credentials.configure(where, REGISTRY, theirs)
    assert not (ours / "gone").is_symlink()
    assert (ours / "contexts").resolve() == (theirs / "contexts").resolve()
    assert (ours / "config.json").stat().st_mtime_ns == before


def test_a_person_who_has_set_what_the_status_says_changes_nothing(where: Folders) -> None:
    credentials.make(where)
    ours = credentials.configure(where, REGISTRY, where.home / "nothing")
    before = config(where)
    assert credentials.configure(where, REGISTRY, ours) == ours
    assert config(where) == before
    assert not [path for path in ours.iterdir() if path.is_symlink()]
