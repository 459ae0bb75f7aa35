"""The secret of the engine's registry, and Docker's configuration with it.

Whoever may log in to a machine reaches its loopback interface, and could replace a base image or a
cache there which root's builds take over. So the registry asks for a password that root alone can
read. docker and buildx read it from a folder of configuration that the suite makes for them
(DOCKER_CONFIG): a copy of the user's configuration, with this registry added, and links to all else
that the user has there. The user's own folder is not changed, and no command line has the secret.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from build_tasks import paths
from build_tasks.engine.state import Folders
from build_tasks.errors import EngineError
from build_tasks.text import redaction

USER = "airflow-images"
#: What the copy has of its own, and what buildx keeps elsewhere (BUILDX_CONFIG).
_OWN = {".token_seed", ".token_seed.lock", "buildx", "config.json"}


def configuration(where: Folders) -> Path:
    """Return the folder with the configuration for docker and buildx (DOCKER_CONFIG)."""
    return _private(where) / "docker"


def authorization(where: Folders) -> str:
    """Return the value of HTTP's Authorization header for the registry; empty if it has none."""
    token = _token(where)
    return f"Basic {token}" if token else ""


def make(where: Folders) -> Path:
    """Make the secret, unless there is one, and return the registry's file of passwords.

    The caller holds the engine's lock.

    Raises:
        EngineError: the machine's libcrypt has no bcrypt, the one form that the registry knows.
    """
    private = _private(where)
    private.mkdir(mode=0o700, parents=True, exist_ok=True)
    passwords = private / "htpasswd"
    if not (_secret(where) and passwords.exists()):
        import secrets  # noqa: PLC0415 - start-up time

        password = secrets.token_urlsafe(32)
        # Guessing it is hopeless whatever a try costs, and each request pays for one: cost 4.
        salt = f"$2b$04${secrets.token_hex(11)}"
        hashed = _crypt(password, salt)
        if not hashed.startswith("$2b$"):
            raise EngineError("libcrypt of this machine has no bcrypt: install libcrypt1")
        paths.write(passwords, f"{USER}:{hashed}\n")
        paths.write(private / "secret", password)
    return passwords


def configure(where: Folders, registry: str, theirs: Path) -> Path:
    """Bring the configuration for docker and buildx up to date, and return its folder.

    Args:
        where: the engine's folders.
        registry: host and port of the engine's registry.
        theirs: the folder of the user's own configuration; it need not exist.
    """
    redaction.add_secret(_secret(where))
    ours = configuration(where)
    ours.mkdir(mode=0o700, parents=True, exist_ok=True)
    if theirs.resolve() == ours.resolve():
        return ours  # a person has set what `engine.status` says
    text = json.dumps(_merged(_load(theirs / "config.json"), registry, _token(where)), indent=2)
    file = ours / "config.json"
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        paths.write(file, text)
    entries = {path.name: path for path in theirs.iterdir()} if theirs.is_dir() else {}
    for name in _OWN:
        entries.pop(name, None)
    for path in ours.iterdir():
        if path.is_symlink() and path.name not in entries:
            path.unlink(missing_ok=True)
    for name, path in entries.items():
        link = ours / name
        if not link.is_symlink() or link.readlink() != path.absolute():
            paths.link(link, path.absolute())
    return ours


def _merged(theirs: dict[str, Any], registry: str, token: str) -> dict[str, Any]:
    """Return a configuration with the registry's secret in it.

    Where a helper keeps the user's passwords, the file would not be asked; an empty name of a
    helper makes it be asked (docker/cli's config/configfile, getConfiguredCredentialStore).
    """
    auths = theirs.get("auths")
    helpers = theirs.get("credHelpers")
    return {
        **theirs,
        "auths": {**(auths if isinstance(auths, dict) else {}), registry: {"auth": token}},
        "credHelpers": {**(helpers if isinstance(helpers, dict) else {}), registry: ""},
    }


def _load(file: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _token(where: Folders) -> str:
    secret = _secret(where)
    return base64.b64encode(f"{USER}:{secret}".encode()).decode() if secret else ""


def _secret(where: Folders) -> str:
    try:
        return (_private(where) / "secret").read_text(encoding="utf-8")
    except OSError:
        return ""


def _private(where: Folders) -> Path:
    return where.home / "private"


def _crypt(password: str, salt: str) -> str:
    """Return crypt(3) of a password, of the library that every Debian has."""
    import ctypes  # noqa: PLC0415 - start-up time

    try:
        crypt = ctypes.CDLL("libcrypt.so.1").crypt
    except OSError:
        return ""
    crypt.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
    crypt.restype = ctypes.c_char_p
    return str((crypt(password.encode(), salt.encode()) or b"").decode())
