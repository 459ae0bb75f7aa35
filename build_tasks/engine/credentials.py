"""The secret of the engine's registry, and a copy of Docker's configuration with it.

Whoever may log in to a machine reaches its loopback interface, and could replace a base image or a
cache that root's builds use. So the registry asks for a password that only root can read. docker
and buildx read it from a configuration folder of the suite's own (DOCKER_CONFIG): a copy of the
user's config.json, with this registry added, and links to the user's other files. The user's own
folder is not changed, and the secret is on no command line.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
from pathlib import Path
from typing import Any

from build_tasks import paths
from build_tasks.engine.folders import Folders
from build_tasks.errors import EngineError
from build_tasks.text import redaction

USER = "airflow-images"
#: Names that are not linked: the copy has its own, and buildx keeps its own elsewhere.
_NOT_LINKED = {".token_seed", ".token_seed.lock", "buildx", "config.json"}


def authorization(folders: Folders) -> str:
    """Return the value of HTTP's Authorization header for the registry; empty if it has none."""
    secret = _secret(folders)
    return f"Basic {_token(secret)}" if secret else ""


def create(folders: Folders) -> Path:
    """Create the secret unless there is one, and return the registry's password file."""
    folders.private.mkdir(mode=0o700, parents=True, exist_ok=True)
    passwords = folders.private / "htpasswd"
    if not (_secret(folders) and passwords.exists()):
        password = os.urandom(32).hex()
        # Cost 4: each request pays for the hash, and a random password needs no slow one.
        hashed = _crypt(password, f"$2b$04${os.urandom(11).hex()}")
        if not hashed.startswith("$2b$"):
            raise EngineError("libcrypt of this machine has no bcrypt: install libcrypt1")
        paths.write(passwords, f"{USER}:{hashed}\n")
        paths.write(folders.private / "secret", password)
    return passwords


def configure(folders: Folders, registry: str, user_config: Path) -> Path:
    """Bring the configuration folder for docker and buildx up to date, and return it.

    It follows the user's own folder, which need not exist.
    """
    secret = _secret(folders)
    redaction.add_secret(secret)
    config = folders.docker_config
    config.mkdir(mode=0o700, parents=True, exist_ok=True)
    if user_config.resolve() == config.resolve():
        return config  # the user has exported the DOCKER_CONFIG of `engine.status`
    merged = _with_registry(paths.read_json(user_config / "config.json"), registry, _token(secret))
    text = json.dumps(merged, indent=2)
    file = config / "config.json"
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        paths.write(file, text)
    files = user_config.iterdir() if user_config.is_dir() else ()
    targets = {path.name: path.absolute() for path in files if path.name not in _NOT_LINKED}
    links = {path.name: path.readlink() for path in config.iterdir() if path.is_symlink()}
    for name in links.keys() - targets.keys():
        (config / name).unlink(missing_ok=True)
    for name, target in targets.items():
        if links.get(name) != target:
            paths.link(config / name, target)
    return config


def _with_registry(config: dict[str, Any], registry: str, token: str) -> dict[str, Any]:
    """Return a config.json with the registry's secret.

    If a credential helper keeps the user's passwords, docker does not read `auths`, unless the
    registry has a helper with an empty name (docker/cli, getConfiguredCredentialStore).
    """
    auths, helpers = config.get("auths"), config.get("credHelpers")
    return {
        **config,
        "auths": {**(auths if isinstance(auths, dict) else {}), registry: {"auth": token}},
        "credHelpers": {**(helpers if isinstance(helpers, dict) else {}), registry: ""},
    }


def _token(secret: str) -> str:
    return base64.b64encode(f"{USER}:{secret}".encode()).decode() if secret else ""


def _secret(folders: Folders) -> str:
    try:
        return (folders.private / "secret").read_text(encoding="utf-8")
    except OSError:
        return ""


def _crypt(password: str, salt: str) -> str:
    """Return crypt(3) of a password, from the library that every Debian has."""
    try:
        crypt = ctypes.CDLL("libcrypt.so.1").crypt
    except OSError:
        return ""
    crypt.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
    crypt.restype = ctypes.c_char_p
    return str((crypt(password.encode(), salt.encode()) or b"").decode())
