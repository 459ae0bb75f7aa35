"""The project: the folder of images.toml, whose own files take precedence over the package's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from build_tasks import paths
from build_tasks.errors import UsageError
from build_tasks.text import hints
from build_tasks.text.hints import FILE_VARIABLE

FILE = "images.toml"
_PACKAGE = Path(__file__).resolve().parents[1]
#: The folder of the files that the package ships; in a checkout of the suite, the checkout.
SHIPPED = _PACKAGE / "shipped" if (_PACKAGE / "shipped").is_dir() else _PACKAGE.parent
#: A folder of the project that replaces the package's as a whole; of others, each file counts.
SOURCES = "sources"
#: What a project may have of its own, instead of what the package ships.
OWN = (
    *("Dockerfile", "Dockerfile.ci", ".dockerignore", "constraints", SOURCES),
    "docker-context-files",
)


@dataclass(frozen=True)
class Project:
    """A project.

    Args:
        file: the settings file.
        origin: what names the file.
    """

    file: Path
    origin: str

    @property
    def root(self) -> Path:
        """The folder of the settings file."""
        return self.file.parent

    @property
    def own(self) -> tuple[str, ...]:
        """What the project has of OWN."""
        return tuple(name for name in OWN if os.path.lexists(self.root / name))

    def path(self, name: str) -> Path:
        """Return a file or folder of the project, or the package's if the project has none.

        Args:
            name: its path below the root, like `Dockerfile.ci`.
        """
        own, shipped = self.root / name, SHIPPED / name
        replaced = name.startswith(f"{SOURCES}/") and os.path.lexists(self.root / SOURCES)
        # A link without a target is the project's own: reading it says what is wrong.
        return shipped if shipped.exists() and not (replaced or os.path.lexists(own)) else own


def installed(file: Path) -> bool:
    """Return whether a file came with the installed package, and is in no project."""
    return file.is_relative_to(_PACKAGE)


def find(environment: Mapping[str, str], file: Path | None = None) -> Project:
    """Return the project of a settings file.

    By default, that is the one that AIRFLOW_IMAGES_FILE names, or the nearest images.toml, in the
    current folder or above it.

    Raises:
        UsageError: there is none.
    """
    if file:
        return Project(file.absolute(), "--file")
    if name := environment.get(FILE_VARIABLE):
        return Project(paths.expand_user(name).absolute(), FILE_VARIABLE)
    folder = Path.cwd()
    for parent in (folder, *folder.parents):
        if os.path.lexists(parent / FILE):  # what is no file is reported where it is read
            return Project(parent / FILE, "current folder" if parent == folder else "folder above")
    raise UsageError(
        f"there is no {FILE} in {folder} or above: write one with: {hints.task('init')}"
    )
