"""What the engine's registry keeps without need, and removing it.

A tag that moves on leaves its old manifest behind, with its layers. The registry's own collector
knows no tags inside of an index: told to remove what has no tag, it would remove the platforms of
every image. So what is superseded is found here, in the registry's files, removed through its API,
and the collector then removes the layers that nothing names any more.
"""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from build_tasks import process
from build_tasks.engine import credentials, packages, registry
from build_tasks.engine.state import Folders, Running
from build_tasks.errors import CommandError

#: Seconds that a manifest without a tag is kept: images of one platform are pushed by digest, and
#: wait to be merged.
UNTAGGED = 7 * 86400.0
#: Seconds for the registry to answer, and for its collector to end.
_ANSWER = 60.0
_COLLECTION = 3600.0


@dataclass(frozen=True)
class Superseded:
    """What nothing needs.

    Args:
        manifests: repositories and digests of the manifests, each with those that it names.
        bytes: what goes with them, and with uploads that were broken off.
    """

    manifests: tuple[tuple[str, str], ...]
    bytes: int


@dataclass
class _Repository:
    """The manifests of a repository: when each was pushed, and which tags are or were at it."""

    name: str
    pushed: dict[str, float] = field(default_factory=dict)
    current: set[str] = field(default_factory=set)
    former: set[str] = field(default_factory=set)


def superseded(where: Folders, now: float, older: float = 0.0) -> Superseded:
    """Return what can go.

    Args:
        where: the engine's folders.
        now: the time, in seconds since the epoch.
        older: seconds that a manifest has to be old for it to go.
    """
    root = _root(where)
    gone: list[tuple[str, str]] = []
    needed: set[str] = set()
    for repository in _repositories(root):
        doomed = _doomed(root, repository, now, older)
        gone += [(repository.name, digest) for digest in sorted(doomed)]
        for digest in {*repository.pushed} - doomed:
            needed |= {digest, *_named(root, digest)}
    sizes = {digest: size for digest, size in _blobs(root) if digest not in needed}
    return Superseded(tuple(gone), sum(sizes.values()))


def remove(where: Folders, running: Running, now: float, older: float = 0.0) -> Superseded:
    """Remove what can go, and return what went.

    The caller sees to it that nobody pushes meanwhile: a layer that was pushed before its manifest
    would go.

    Args:
        where: the engine's folders.
        running: the running engine.
        now: the time, in seconds since the epoch.
        older: seconds that a manifest has to be old for it to go.

    Raises:
        CommandError: the registry or its collector fails.
    """
    root = _root(where)
    if not (root / "repositories").exists():
        return Superseded((), 0)  # nobody has pushed yet, which the collector takes for a failure
    before = sum(size for _, size in _blobs(root))
    found = superseded(where, now, older)
    _delete(running.registry, credentials.authorization(where), found.manifests)
    packages_root = where.root(running.release)
    command = (
        str(packages_root / "usr/bin/docker-registry"),
        "garbage-collect",
        str(registry.configuration(where)),
    )
    variables = packages.daemon_environment(where, packages_root)
    process.run(command, environment=variables, timeout=_COLLECTION)
    return Superseded(found.manifests, before - sum(size for _, size in _blobs(root)))


def _delete(address: str, authorization: str, manifests: Iterable[tuple[str, str]]) -> None:
    connection = http.client.HTTPConnection(address, timeout=_ANSWER)
    headers = {"Authorization": authorization}
    try:
        for repository, digest in manifests:
            path = f"/v2/{repository}/manifests/{digest}"
            connection.request("DELETE", path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status not in {http.HTTPStatus.ACCEPTED, http.HTTPStatus.NOT_FOUND}:
                raise CommandError(f"the registry does not remove {path}: {answer.status}")
    except (OSError, http.client.HTTPException) as error:
        raise CommandError(f"the registry on {address} does not answer: {error}") from None
    finally:
        connection.close()


def _doomed(root: Path, repository: _Repository, now: float, older: float) -> set[str]:
    """Return the manifests that no tag leads to, but for those that wait to be merged."""
    superseded = repository.former - repository.current
    parts = _closure(root, superseded)
    loose = {*repository.pushed} - repository.current - parts
    children = {child for digest in repository.pushed for child in _named(root, digest)}
    waiting = {
        digest
        for digest in loose - children
        if now - repository.pushed[digest] < max(UNTAGGED, older)
    }
    recent = {digest for digest in superseded if now - repository.pushed.get(digest, now) < older}
    kept = _closure(root, repository.current | waiting | recent)
    return {*repository.pushed} - kept


def _closure(root: Path, digests: Iterable[str]) -> set[str]:
    """Return manifests and all that they name, and so on."""
    found: set[str] = set()
    left = [*digests]
    while left:
        digest = left.pop()
        if digest not in found:
            found.add(digest)
            left += _children(_manifest(root, digest))
    return found


def _named(root: Path, digest: str) -> set[str]:
    """Return the digests of the manifests and layers that a manifest names."""
    manifest = _manifest(root, digest)
    config = manifest.get("config")
    entries = [*_entries(manifest, "layers"), *([config] if isinstance(config, dict) else [])]
    return {*_children(manifest), *(str(one.get("digest")) for one in entries)}


def _children(manifest: dict[str, Any]) -> list[str]:
    return [str(one.get("digest")) for one in _entries(manifest, "manifests")]


def _entries(manifest: dict[str, Any], name: str) -> list[dict[str, Any]]:
    entries = manifest.get(name)
    return [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []


def _manifest(root: Path, digest: str) -> dict[str, Any]:
    algorithm, _, encoded = digest.partition(":")
    try:
        text = (root / "blobs" / algorithm / encoded[:2] / encoded / "data").read_bytes()
        loaded = json.loads(text)
    except (OSError, ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _repositories(root: Path) -> Iterator[_Repository]:
    for folder in sorted((root / "repositories").rglob("_manifests")):
        name = folder.parent.relative_to(root / "repositories")
        found = _Repository(str(name))
        for link in folder.glob("revisions/*/*/link"):
            found.pushed[_digest(link)] = link.stat().st_mtime
        found.current = {_digest(link) for link in folder.glob("tags/*/current/link")}
        found.former = {_digest(link) for link in folder.glob("tags/*/index/*/*/link")}
        yield found


def _digest(link: Path) -> str:
    return link.read_text(encoding="utf-8").strip()


def _blobs(root: Path) -> Iterator[tuple[str, int]]:
    for file in (root / "blobs").glob("*/*/*/data"):
        with contextlib.suppress(FileNotFoundError):  # the registry removes it meanwhile
            algorithm, _, encoded, _ = file.relative_to(root / "blobs").parts
            yield f"{algorithm}:{encoded}", file.stat().st_size


def _root(where: Folders) -> Path:
    return where.home / "registry/docker/registry/v2"
