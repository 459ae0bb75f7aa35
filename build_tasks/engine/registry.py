"""A registry on the loopback interface, for images and caches where there is no other."""

from __future__ import annotations

import http.client
from pathlib import Path

from build_tasks import process
from build_tasks.engine import ready, state
from build_tasks.engine.state import Daemon, Folders
from build_tasks.errors import EngineError

START = 20.0
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json"
)
_CONFIGURATION = """\
version: 0.1
log:
  level: warn
storage:
  filesystem:
    rootdirectory: {folder}
  delete:
    enabled: true
http:
  addr: {address}
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
    configuration = where.home / "registry.yml"
    text = _CONFIGURATION.format(folder=where.home / "registry", address=address)
    configuration.write_text(text, encoding="utf-8")
    log = where.home / "registry.log"
    command = (str(root / "usr/bin/docker-registry"), "serve", str(configuration))
    one = state.daemon(process.spawn(command, environment={}, log=log))
    try:
        ready.wait(lambda: state.alive(one), lambda: _ask(address, "/v2/"), START)
    except BaseException as error:
        state.end([one])
        if isinstance(error, TimeoutError):
            raise EngineError(f"the registry does not start on {address} (see {log})") from None
        raise
    return one


def holds(reference: str) -> bool:
    """Return whether the registry has an image.

    Args:
        reference: host, port, path and tag.
    """
    address, _, rest = reference.partition("/")
    path, _, tag = rest.rpartition(":")
    return _ask(address, f"/v2/{path}/manifests/{tag}")


def _ask(address: str, path: str) -> bool:
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request(
            "HEAD" if "manifests" in path else "GET", path, headers={"Accept": _MANIFESTS}
        )
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
