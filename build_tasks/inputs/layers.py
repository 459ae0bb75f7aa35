"""A checkout in two layers: its files as they were some builds ago, and those that differ now.

It has thousands of files, which would all be in one layer of an image. With two, the first stays
the same for many builds, and an edit moves a few kilobytes. Both are snapshots, so BuildKit reads
what does not change any more.

A layer cannot take away what is in the one below. So the first one is taken anew when a file of it
is gone, and when too much differs from it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from build_tasks import paths
from build_tasks.errors import DiskError
from build_tasks.inputs import context, file_hashes, snapshot
from build_tasks.inputs.context import Allowed, Prepared
from build_tasks.inputs.file_hashes import Index
from build_tasks.inputs.snapshot import Place
from build_tasks.process import Announce, locks

#: The subfolder with the files: COPY sets the owner of a folder's content, but not of the folder.
NAME = "airflow"
#: The fraction of the files that may differ from those of the first layer.
BOUND = 0.2
#: The mode of folders: tests write beside the files, as any user of the group 0.
_MODE = 0o775
_RECORD = "layers.json"


class Layers(NamedTuple):
    """Two folders whose files lie over each other.

    Args:
        base: the files as they were some builds ago.
        changes: those that are new or differ.
    """

    base: Prepared
    changes: Prepared


def prepare(
    root: Path,
    allowed: Allowed,
    announce: Announce,
    made: Mapping[str, Path] = MappingProxyType({}),
    key: str = "",
) -> Layers:
    """Return what a checkout sends to a build, in the subfolder NAME of two folders.

    Args:
        root: the folder of the checkout.
        allowed: which files enter besides those that git tracks.
        announce: is told what is left out.
        made: further files, by path, that enter whatever git and .dockerignore say.
        key: what tells checkouts apart whose folders change; by default the folder.

    Raises:
        UsageError: a file cannot be read, or a submodule is not fetched.
        DiskError: there is no space for a snapshot.
        ImagesError: files change faster than they can be read.
    """
    home = file_hashes.home(Path(key or root.resolve()))
    home = home.with_name(f"{home.name}-checkout")  # the folder may be a context, too
    prepared = context.prepare(root, allowed, announce, made, Place(home, NAME, _MODE))
    try:
        with locks.hold(home / "lock", f"copies the files of {root}", announce):
            return _split(home, prepared.folder, prepared.files)
    except OSError as error:
        raise DiskError(f"{home}: cannot be written: {error.strerror}") from None


def _split(home: Path, folder: Path, files: Mapping[str, str]) -> Layers:
    """Return the layers of a snapshot.

    Args:
        home: the folder of the snapshots.
        folder: the files of the snapshot.
        files: the mode and the hash of each.
    """
    record = paths.read_json(home / _RECORD)
    known = record.get("files")
    before: Mapping[str, str] = known if isinstance(known, dict) else {}
    base = home / str(record.get("snapshot", ""))
    if not _stays(before, files) or not (base / folder.name).is_dir():
        base, before = folder.parent, files
        text = json.dumps({"snapshot": base.name, "files": dict(files)}, separators=(",", ":"))
        paths.write(home / _RECORD, text)
    os.utime(base)  # it is in use
    changed = {path: text for path, text in files.items() if before.get(path) != text}
    return Layers(Prepared(base, before), Prepared(_changes(home, folder, changed), changed))


def _stays(before: Mapping[str, str], files: Mapping[str, str]) -> bool:
    """Return whether the first layer can stay below these files."""
    differ = sum(before.get(path) != text for path, text in files.items())
    return before.keys() <= files.keys() and differ <= BOUND * len(files)


def _changes(home: Path, folder: Path, files: Mapping[str, str]) -> Path:
    """Return a folder with some files of a snapshot, named by their content."""
    target = home / f"changes-{snapshot.name_of(files)}"
    if target.is_dir():
        os.utime(target)
        return target
    new = home / "changes-new"
    shutil.rmtree(new, ignore_errors=True)
    places = {path: f"{folder}/{path}" for path in files}
    unchanged = Index({path: [text] for path, text in files.items()})
    snapshot.write(places, new / folder.name, files, (folder, unchanged), _MODE)
    new.rename(target)
    return target
