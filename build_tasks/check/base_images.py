"""Compare the base images of base.lock with their registries, and lock what these have now."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from build_tasks import process
from build_tasks.buildx import classification, commands
from build_tasks.check import image_metadata
from build_tasks.check.image_metadata import ImageIndex, PlatformImage
from build_tasks.errors import ImagesError, MissingImage
from build_tasks.inputs import base_lock
from build_tasks.inputs.base_lock import LockedBase
from build_tasks.model.matrix import Platform
from build_tasks.plan import build_host
from build_tasks.plan.build_host import Base, BuildHost
from build_tasks.process import Announce
from build_tasks.text.formatting import listed

#: Concurrent queries.
QUERIES = 8
#: Seconds to fetch the layers of a base image and to read its list of packages.
_READING = 600.0
#: The files with Debian's packages: of dpkg, and of images without it (one file for each package).
_PACKAGES = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE} AS base
FROM scratch
COPY --from=base /var/lib/dpkg/status* /
"""
_NAME, _VERSION = (re.compile(rf"^{name}: (\S+)", re.MULTILINE) for name in ("Package", "Version"))
#: dpkg keeps the name and the version of a package that was removed and left configuration files.
_REMOVED = re.compile(r"^Status: .* config-files$", re.MULTILINE)
#: Its version of an entry, by the name of a package or variable.
Versions = Mapping[str, str]


@dataclass(frozen=True)
class Change:
    """A package or an environment variable that differs; "" where it is not there."""

    name: str
    before: str
    now: str

    def __str__(self) -> str:
        """Return the change in words."""
        if not self.before:
            return f"new: {self.name} {self.now}"
        return f"{self.name} {self.before} -> {self.now}" if self.now else f"gone: {self.name}"


@dataclass(frozen=True)
class Moved:
    """What changed for one platform. The field names are keys of the JSON output."""

    platform: str
    locked: str  # the digest of the image for this platform; "" if it has none
    now: str
    changes: tuple[Change, ...] = ()
    problem: str = ""  # why the changes are not known, or ""

    @property
    def unnamed(self) -> str:
        """What happened where no package and no variable changed, in words."""
        if not self.now:
            return "gone"
        return f"{self.locked} -> {self.now}" if self.locked else f"new: {self.now}"


@dataclass(frozen=True)
class BaseFinding:
    """The locked base image of one Python, and what the registry has now, as keys of JSON."""

    python: str
    locked: str = ""  # its reference with the digest of the index; "" if it is not locked
    now: str = ""  # the same of what the registry has; "" if that is not known
    platforms: tuple[Moved, ...] = ()
    problem: str = ""  # why it is not known what the registry has, or ""

    @property
    def current(self) -> bool:
        """Whether the registry has what is locked."""
        return bool(self.now) and self.locked == self.now

    @property
    def lines(self) -> list[str]:
        """The finding in words."""
        if self.problem:
            return [f"{self.python}: unknown: {self.problem}"]
        if not self.locked:
            return [f"{self.python}: not locked: {self.now}"]
        if self.current:
            return [f"{self.python}: as locked: {self.now}"]
        lines = [f"{self.python}: moved: {self.locked} -> {self.now}"]
        for moved in self.platforms:
            changes = moved.changes or (moved.problem or moved.unnamed,)
            lines += [f"  {moved.platform}: {change}" for change in changes]
        return lines if self.platforms else [*lines, "  only the index: its images are the same"]

    @property
    def data(self) -> dict[str, Any]:
        """The finding as JSON."""
        return {**asdict(self), "current": self.current}


def check(host: BuildHost, pythons: Iterable[str], announce: Announce) -> list[BaseFinding]:
    """Return what has moved since the base images were locked; change nothing.

    Raises:
        UsageError: there is no base.lock, or it is unusable.
        EngineError: no base image is available.
    """
    locked = base_lock.read(host.settings.project.root)
    bases = build_host.base_images(host, pythons, host.platforms, announce, dry=False)
    with process.pool(QUERIES) as pool:
        work = {
            python: pool.submit(_finding, host, python, base, locked.get(python))
            for python, base in bases.items()
        }
    return [future.result() for future in work.values()]


def update(
    host: BuildHost, pythons: Iterable[str], announce: Announce
) -> tuple[dict[str, LockedBase], list[ImagesError]]:
    """Lock the base images that the registries have now, and return them.

    Those of other Pythons stay locked as they are, unless the settings no longer have the Python.

    Returns:
        The base images that are locked now, by Python, and the errors of those that are not.

    Raises:
        UsageError: base.lock is unusable.
        EngineError: no base image is available.
        DiskError: base.lock cannot be written.
    """
    root, known = host.settings.project.root, host.settings.pythons
    before = base_lock.read(root) if (root / base_lock.FILE).exists() else {}
    bases = build_host.base_images(host, pythons, host.platforms, announce, dry=False)
    fresh, errors = dict[str, LockedBase](), list[ImagesError]()
    with process.pool(QUERIES) as pool:
        work = {python: pool.submit(_lock, host, base) for python, base in bases.items()}
    for python, future in work.items():
        try:
            fresh[python] = future.result()
        except ImagesError as error:
            errors.append(error)
    if fresh:
        kept = {python: base for python, base in before.items() if python in known}
        file = base_lock.write(root, {**kept, **fresh})
        announce(f"wrote {file}")
    return fresh, errors


def _lock(host: BuildHost, base: Base) -> LockedBase:
    index = _look_up(host, base)
    platforms = {name: image.digest for name, image in _supported(index).items()}
    return LockedBase(base.reference, index.digest, platforms)


def _look_up(host: BuildHost, base: Base) -> ImageIndex:
    """Return what the registry has.

    Raises:
        ImagesError: it has no such image, or does not answer.
    """
    if base.error:
        raise base.error
    index = image_metadata.of_registry(host.client, base.reference, host.settings.builder)
    if not _supported(index):
        others = f", only {listed(index.images)}" if index.images else ""
        raise MissingImage(f"{base.reference}: not found for {listed(Platform)}{others}")
    return index


def _supported(index: ImageIndex) -> dict[str, PlatformImage]:
    """Return the images of the platforms that can be built."""
    return {name: index.images[name] for name in Platform if name in index.images}


def _finding(host: BuildHost, python: str, base: Base, locked: LockedBase | None) -> BaseFinding:
    before = locked.pinned if locked else ""
    try:
        now = _lock(host, base)
    except ImagesError as error:
        return BaseFinding(python, before, problem=str(error))
    if locked is None:
        return BaseFinding(python, now=now.pinned)
    names = [name for name in Platform if locked.platforms.get(name) != now.platforms.get(name)]
    moved = tuple(_moved(host, locked, now, name) for name in names)
    return BaseFinding(python, before, now.pinned, moved)


def _moved(host: BuildHost, locked: LockedBase, now: LockedBase, platform: Platform) -> Moved:
    old, new = (base.platforms.get(platform, "") for base in (locked, now))
    if not old or not new:
        return Moved(platform.value, old, new)
    try:
        before, after = (_versions(host, base.pinned, platform) for base in (locked, now))
    except ImagesError as error:
        return Moved(platform.value, old, new, problem=f"what changed is unknown: {error}")
    names = sorted({*before, *after})
    changes = (Change(name, before.get(name, ""), after.get(name, "")) for name in names)
    changed = tuple(change for change in changes if change.before != change.now)
    return Moved(platform.value, old, new, changed)


def _versions(host: BuildHost, reference: str, platform: Platform) -> Versions:
    """Return the Debian packages and the environment variables of an image, with their values.

    Raises:
        ImagesError: the registry no longer has it, or the builder cannot read it.
    """
    builder = host.settings.builder
    index = image_metadata.of_registry(host.client, reference, builder)
    if platform.value not in index.images:
        raise MissingImage(f"the registry no longer has {reference}")
    with tempfile.TemporaryDirectory() as folder:
        command = commands.export_command(
            host.client, builder, platform=platform, base_image=reference, folder=Path(folder)
        )
        completed = process.run(
            command,
            environment=host.client.environment,
            input=_PACKAGES,
            timeout=_READING,
            check=False,
        )
        if completed.returncode:
            raise classification.of_registry(completed, reference)
        packages = _packages(Path(folder))
    return {**index.images[platform.value].variables, **packages}


def _packages(folder: Path) -> dict[str, str]:
    """Return the versions of the packages in files of dpkg, by name."""
    texts = [
        file.read_text(encoding="utf-8", errors="replace")
        for file in folder.rglob("*")
        if file.is_file() and file.name != "status-old" and file.suffix != ".md5sums"
    ]
    found = {}
    for paragraph in "\n\n".join(texts).split("\n\n"):
        name, version = _NAME.search(paragraph), _VERSION.search(paragraph)
        if name and version and not _REMOVED.search(paragraph):
            found[name[1]] = version[1]
    return found
