"""The wheel of the project, and fresh virtual environments that have nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from uv import find_uv_bin

ROOT = Path(__file__).resolve().parents[1]


def build(folder: Path) -> Path:
    """Build the wheel from the sdist, as a release is made, and return it."""
    _uv("build", "--quiet", "--out-dir", str(folder), str(ROOT))
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """Return the programs' folder of a new environment with the wheel and what it requires."""
    _uv("venv", "--quiet", "--python", sys.executable, str(folder))
    _uv("pip", "install", "--quiet", "--python", str(folder), str(wheel))
    return folder / "bin"


def _uv(*words: str) -> None:
    own = {name: text for name, text in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        [find_uv_bin(), *words], env=own, cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
