"""Read the storage of the engine's registry, and remove what no tag leads to.

A tag that moves leaves its old manifest behind, with its layers. The registry's own garbage
collector does not see that an index names manifests: told to remove what is untagged, it would
remove the platforms of every image. So superseded manifests are found here, in the registry's
files, and removed through its API; the collector then removes the layers that nothing names.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from build_tasks import process
from build_tasks.engine import credentials, packages
from build_tasks.engine.folders import Folders, engine_folders
from build_tasks.engine.state import EngineState
from build_tasks.errors import CommandError

#: Seconds that an untagged manifest is kept: images of one platform are pushed by digest, and wait
#: to be merged.
UNTAGGED = 7 * 86400.0
#: Seconds for the registry to answer, and for its collector to end.
_ANSWER = 60.0
_COLLECTION = 3600.0


@dataclass(frozen=True)
class Superseded:
    """Manifests that nothing needs, as repository and digest, and the bytes that go with them."""

    manifests: tuple[tuple[str, str], ...]
    bytes: int


@dataclass(frozen=True)
class _Repository:
    """A repository's manifests: when each was pushed, and what it names."""

    name: str
    pushed: dict[str, float]
    names: dict[str, set[str]]  # digests of other manifests, layers and configurations
    tagged: set[str]
    formerly_tagged: set[str]

    def unreachable(self, now: float, older: float) -> set[str]:
        """Return the manifests that no tag leads to, except those that wait to be merged."""
        replaced = self.formerly_tagged - self.tagged
        untagged = self.pushed.keys() - self.tagged - self._closure(replaced)
        untagged -= set().union(*self.names.values())
        waiting = {
            digest for digest in untagged if now - self.pushed[digest] < max(UNTAGGED, older)
        }
        recent = {digest for digest in replaced if now - self.pushed.get(digest, now) < older}
        return self.pushed.keys() - self._closure(self.tagged | waiting | recent)

    def _closure(self, digests: set[str]) -> set[str]:
        """Return manifests and all that they name, directly and indirectly."""
        closure: set[str] = set()
        left = [*digests]
        while left:
            digest = left.pop()
            if digest not in closure:
                closure.add(digest)
                left += self.names.get(digest, ())
        return closure


def holds(reference: str) -> bool:
    """Return whether the registry has an image, as its own files say.

    Every build asks, and reading two files costs a fraction of two requests.
    """
    return bool(manifest(reference))


def digest(reference: str) -> str:
    """Return the digest of an image in the registry, empty if it has none of this name."""
    path, _, tag = reference.partition("/")[2].rpartition(":")
    repository = engine_folders().registry / "repositories" / path
    try:
        return _linked(repository / "_manifests/tags" / tag / "current/link")
    except OSError:
        return ""


def manifest(reference: str) -> str:
    """Return an image's manifest or index as text, empty if the registry does not have it."""
    try:
        return _blob(engine_folders().registry, digest(reference)).read_text(encoding="utf-8")
    except OSError:
        return ""


def superseded(folders: Folders, now: float, older: float = 0.0) -> Superseded:
    """Return what can be removed: manifests of at least an age in seconds, and their layers."""
    root = folders.registry
    removable: list[tuple[str, str]] = []
    needed: set[str] = set()
    for repository in _repositories(root):
        unreachable = repository.unreachable(now, older)
        removable += [(repository.name, digest) for digest in sorted(unreachable)]
        for digest in repository.pushed.keys() - unreachable:
            needed |= {digest} | repository.names[digest]
    sizes = _blob_sizes(root)
    return Superseded(tuple(removable), sum(sizes[digest] for digest in sizes.keys() - needed))


def remove_superseded(
    folders: Folders, state: EngineState, now: float, older: float = 0.0
) -> Superseded:
    """Remove what can be removed, and return what was.

    The caller makes sure that nobody pushes meanwhile: a layer that was pushed before its manifest
    would be removed.
    """
    root = folders.registry
    if not (root / "repositories").exists():
        return Superseded((), 0)  # nothing was pushed yet, for which the collector would fail
    before = sum(_blob_sizes(root).values())
    manifests = superseded(folders, now, older).manifests
    _delete(state.registry, credentials.authorization(folders), manifests)
    unpacked = folders.packages(state.release)
    program = str(unpacked / "usr/bin/docker-registry")
    variables = packages.daemon_environment(folders, unpacked)
    command = (program, "garbage-collect", str(folders.home / "registry.yml"))
    process.run(command, environment=variables, timeout=_COLLECTION)
    return Superseded(manifests, before - sum(_blob_sizes(root).values()))


def _delete(address: str, authorization: str, manifests: Iterable[tuple[str, str]]) -> None:
    import http.client  # noqa: PLC0415 - every build imports this module, few remove anything

    connection = http.client.HTTPConnection(address, timeout=_ANSWER)
    try:
        for repository, digest in manifests:
            path = f"/v2/{repository}/manifests/{digest}"
            connection.request("DELETE", path, headers={"Authorization": authorization})
            response = connection.getresponse()
            response.read()
            if response.status not in {http.HTTPStatus.ACCEPTED, http.HTTPStatus.NOT_FOUND}:
                raise CommandError(f"the registry does not remove {path}: {response.status}")
    except (OSError, http.client.HTTPException) as error:
        raise CommandError(f"the registry on {address} does not answer: {error}") from None
    finally:
        connection.close()


def _named_by(root: Path, digest: str) -> set[str]:
    """Return the digests that a manifest names, none if it is not valid."""
    try:
        content = json.loads(_blob(root, digest).read_bytes())
        entries = [*content.get("manifests", ()), *content.get("layers", ())]
        if "config" in content:
            entries.append(content["config"])
        return {str(entry["digest"]) for entry in entries}
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return set()


def _repositories(root: Path) -> Iterator[_Repository]:
    for folder in sorted((root / "repositories").rglob("_manifests")):
        pushed = {_linked(link): link.stat().st_mtime for link in folder.glob("revisions/*/*/link")}
        yield _Repository(
            str(folder.parent.relative_to(root / "repositories")),
            pushed,
            {digest: _named_by(root, digest) for digest in pushed},
            {_linked(link) for link in folder.glob("tags/*/current/link")},
            {_linked(link) for link in folder.glob("tags/*/index/*/*/link")},
        )


def _linked(link: Path) -> str:
    return link.read_text(encoding="utf-8").strip()


def _blob(root: Path, digest: str) -> Path:
    algorithm, _, encoded = digest.partition(":")
    return root / "blobs" / algorithm / encoded[:2] / encoded / "data"


def _blob_sizes(root: Path) -> dict[str, int]:
    sizes = {}
    for file in (root / "blobs").glob("*/*/*/data"):
        with contextlib.suppress(FileNotFoundError):  # the registry has just removed it
            sizes[f"{file.parts[-4]}:{file.parts[-2]}"] = file.stat().st_size
    return sizes
