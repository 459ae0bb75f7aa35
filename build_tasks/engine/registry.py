"""A registry on the loopback interface, for images and caches where there is no other."""

from __future__ import annotations

from pathlib import Path

from build_tasks import process
from build_tasks.engine import credentials, packages, ready, state
from build_tasks.engine.state import Daemon, Folders
from build_tasks.errors import EngineError

START = 20.0
_CONFIGURATION = """\
version: 0.1
log:
  level: warn
storage:
  filesystem:
    rootdirectory: {folder}
  delete:
    enabled: true
  maintenance:
    uploadpurging:
      enabled: true
      age: 24h
      interval: 1h
      dryrun: false
http:
  addr: {address}
auth:
  htpasswd:
    realm: airflow-images
    path: {passwords}
"""


def start(where: Folders, root: Path, address: str) -> Daemon:
    """Start the registry and return it as soon as it answers.

    Args:
        where: the engine's folders.
        root: the folder with the unpacked packages.
        address: host and port to listen on.

    Raises:
        EngineError: it ended, or does not answer.
    """
    passwords = credentials.make(where)
    text = _CONFIGURATION.format(
        folder=where.home / "registry", address=address, passwords=passwords
    )
    configuration(where).write_text(text, encoding="utf-8")
    log = where.home / "registry.log"
    command = (str(root / "usr/bin/docker-registry"), "serve", str(configuration(where)))
    variables = packages.daemon_environment(where, root)
    one = state.daemon(process.spawn(command, environment=variables, log=log))
    try:
        ready.wait(lambda: state.alive(one), lambda: _answers(address), START)
    except BaseException as error:
        state.end([one])
        if isinstance(error, TimeoutError):
            raise EngineError(f"the registry does not start on {address} (see {log})") from None
        raise
    return one


def configuration(where: Folders) -> Path:
    """Return the registry's file of configuration."""
    return where.home / "registry.yml"


def holds(reference: str) -> bool:
    """Return whether the registry has an image, as its own files say.

    Every build asks, and reading two files costs a fraction of two requests. The places are those
    of the registry's storage (distribution's registry/storage/paths.go).

    Args:
        reference: host, port, path and tag.
    """
    return bool(manifest(reference))


def digest(reference: str) -> str:
    """Return the digest of an image in the registry, empty if it has none of this name."""
    path, _, tag = reference.partition("/")[2].rpartition(":")
    link = _root() / "repositories" / path / "_manifests/tags" / tag / "current/link"
    try:
        return link.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def manifest(reference: str) -> str:
    """Return the text of an image's manifest or index, empty if the registry does not have it."""
    algorithm, _, encoded = digest(reference).partition(":")
    try:
        data = _root() / "blobs" / algorithm / encoded[:2] / encoded / "data"
        return data.read_text(encoding="utf-8")
    except OSError:
        return ""


def _root() -> Path:
    return state.folders().home / "registry/docker/registry/v2"


def _answers(address: str) -> bool:
    import http.client  # noqa: PLC0415 - start-up time

    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == http.HTTPStatus.UNAUTHORIZED
    except OSError:
        return False
    finally:
        connection.close()
