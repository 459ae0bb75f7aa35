"""Projects for tests."""

from __future__ import annotations

from pathlib import Path

from build_tasks.config.project import FILE, SHIPPED, Project

#: Three images of a project's own: two on top of PROD, and one on top of CI.
OWN_IMAGES = """\
repository = "team/airflow"
pythons = ["3.11", "3.12"]
[images.site]
from = "dags"
dockerfile = "Dockerfile.site"
[images.dags]
dags = "dags"
[images.tests]
from = "ci"
python = ["pytest-xdist"]
"""
#: The project of this checkout.
OWN = Project(SHIPPED / FILE, "a test")


def at(root: Path) -> Project:
    """Return the project with this root."""
    return Project(root / FILE, "a test")


def with_own_images(root: Path) -> Path:
    """Write the settings file of `OWN_IMAGES` and what it names; return the file."""
    (root / "images.toml").write_text(OWN_IMAGES)
    (root / "dags").mkdir()
    (root / "dags" / "a.py").touch()
    (root / "Dockerfile.site").write_text("ARG AIRFLOW_IMAGE\nFROM ${AIRFLOW_IMAGE}\n")
    return root / "images.toml"
