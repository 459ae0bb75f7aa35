"""What peers pushed, kept beside the registry, to come back to it before each build."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks import peers
from benchmarks.scenarios import Peer

#: Where the engine's registry keeps what (distribution's registry/storage/paths.go).
_REGISTRY = Path("engine/registry/docker/registry/v2")


@dataclass(frozen=True)
class Shelf:
    """The repositories of a run's registry, as files.

    Args:
        home: the run's own cache folder.
    """

    home: Path

    def forget(self, peer: Peer) -> None:
        """Remove what a peer pushed."""
        shutil.rmtree(self._pushed(peer), ignore_errors=True)

    def keep(self, peer: Peer) -> None:
        """Write down what a peer has pushed, to come back to it."""
        shutil.rmtree(self._kept(peer), ignore_errors=True)
        shutil.copytree(self._pushed(peer), self._kept(peer))

    def restore(self, peer: Peer) -> None:
        """Let the registry have what was kept of a peer, and nothing else of it."""
        self.forget(peer)
        shutil.copytree(self._kept(peer), self._pushed(peer))

    def clear(self) -> None:
        """Remove what a run leaves: all but the engine's packages and its base images."""
        for path in (
            self.home / "engine/data",
            self.home / "kept",
            self.home / _REGISTRY / "repositories/bench",
        ):
            shutil.rmtree(path, ignore_errors=True)
        self.sweep()

    def sweep(self) -> None:
        """Remove the layers that nothing in the stopped registry, or kept of it, leads to."""
        folders = (self.home / _REGISTRY / "repositories", self.home / "kept")
        links = [link for folder in folders for link in folder.rglob("link")]
        used = {link.read_text(encoding="utf-8").strip().partition(":")[2] for link in links}
        for blob in (self.home / _REGISTRY / "blobs/sha256").glob("*/*"):
            if blob.name not in used:
                shutil.rmtree(blob, ignore_errors=True)

    def _pushed(self, peer: Peer) -> Path:
        return self.home / _REGISTRY / "repositories" / peers.repository(peer)

    def _kept(self, peer: Peer) -> Path:
        return self.home / "kept" / peers.repository(peer)
