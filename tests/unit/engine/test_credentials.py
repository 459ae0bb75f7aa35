from __future__ import annotations

import base64
import ctypes
import json
from pathlib import Path

import pytest

from build_tasks.engine import credentials
from build_tasks.engine.folders import Folders
from build_tasks.errors import EngineError
from build_tasks.text import redaction

REGISTRY = "127.0.0.1:5000"


@pytest.fixture
def user_config(tmp_path: Path) -> Path:
    folder = tmp_path / "docker"
    folder.mkdir()
    return folder


def config(folders: Folders) -> dict[str, object]:
    text = (folders.docker_config / "config.json").read_text()
    loaded: dict[str, object] = json.loads(text)
    return loaded


def test_the_secret_lasts_and_only_root_can_read_it(folders: Folders) -> None:
    assert credentials.authorization(folders) == ""
    passwords = credentials.create(folders)
    first = credentials.authorization(folders)
    user, _, password = base64.b64decode(first.removeprefix("Basic ")).decode().partition(":")
    assert user == "airflow-images"
    name, _, hashed = passwords.read_text().strip().partition(":")
    assert name == user
    assert credentials._crypt(password, hashed) == hashed
    assert passwords.parent.stat().st_mode & 0o777 == 0o700
    assert password not in passwords.read_text()
    credentials.create(folders)
    assert credentials.authorization(folders) == first


def test_a_machine_without_bcrypt_is_one_line(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: str) -> None:
        raise OSError

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(EngineError, match="has no bcrypt"):
        credentials.create(folders)


def test_the_users_own_credentials_are_kept(folders: Folders, user_config: Path) -> None:
    """With credsStore, docker reads `auths` only for a registry whose helper has an empty name."""
    credentials.create(folders)
    own = {
        "auths": {"ghcr.io": {"auth": "dTpw"}},
        "credsStore": "pass",
        "credHelpers": {"gcr.io": "gcloud"},
        "proxies": {},
    }
    (user_config / "config.json").write_text(json.dumps(own))
    credentials.configure(folders, REGISTRY, user_config)
    token = credentials.authorization(folders).removeprefix("Basic ")
    assert config(folders) == {
        **own,
        "auths": {"ghcr.io": {"auth": "dTpw"}, REGISTRY: {"auth": token}},
        "credHelpers": {"gcr.io": "gcloud", REGISTRY: ""},
    }
    assert json.loads((user_config / "config.json").read_text()) == own


def test_the_secret_is_redacted(folders: Folders, user_config: Path) -> None:
    credentials.create(folders)
    token = credentials.authorization(folders).removeprefix("Basic ")
    password = base64.b64decode(token).decode().partition(":")[2]
    credentials.configure(folders, REGISTRY, user_config)
    for text in (f"it is {password} here", f"data {token}"):
        assert password not in redaction.redact(text)
        assert token not in redaction.redact(text)
        assert redaction.HIDDEN in redaction.redact(text)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"auths": 1, "credHelpers": []}', "[" * 100_000])
def test_an_invalid_configuration_counts_as_none(
    folders: Folders, user_config: Path, text: str
) -> None:
    (user_config / "config.json").write_text(text)
    credentials.configure(folders, REGISTRY, user_config)
    assert config(folders)["credHelpers"] == {REGISTRY: ""}


def test_the_users_other_files_are_linked_and_links_follow_them(
    folders: Folders, user_config: Path
) -> None:
    config_folder = credentials.configure(folders, REGISTRY, user_config / "nothing")
    for name in ("contexts", "buildx", "gone"):
        (user_config / name).mkdir()
    (user_config / ".token_seed").touch()
    (config_folder / ".token_seed").touch()
    for _ in range(2):
        credentials.configure(folders, REGISTRY, user_config)
    names = {path.name for path in config_folder.iterdir() if path.is_symlink()}
    assert names == {"contexts", "gone"}
    (user_config / "gone").rmdir()
    before = (config_folder / "config.json").stat().st_mtime_ns
    credentials.configure(folders, REGISTRY, user_config)
    assert not (config_folder / "gone").is_symlink()
    assert (config_folder / "contexts").resolve() == (user_config / "contexts").resolve()
    assert (config_folder / "config.json").stat().st_mtime_ns == before


def test_an_exported_docker_config_changes_nothing(folders: Folders) -> None:
    credentials.create(folders)
    config_folder = credentials.configure(folders, REGISTRY, folders.home / "nothing")
    before = config(folders)
    assert credentials.configure(folders, REGISTRY, config_folder) == config_folder
    assert config(folders) == before
    assert not [path for path in config_folder.iterdir() if path.is_symlink()]
