"""Projects for tests."""

from __future__ import annotations

from pathlib import Path

from build_tasks.config.project import FILE, SHIPPED, Project

#: The project of this checkout.
OWN = Project(SHIPPED / FILE, "a test")


def at(root: Path) -> Project:
    """Return the project with this root."""
    return Project(root / FILE, "a test")
