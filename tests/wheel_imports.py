"""Import every module of the installed package; `python -I` leaves the checkout's out."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

import build_tasks

FOLDER = Path(build_tasks.__path__[0])
if FOLDER.is_relative_to(Path(__file__).resolve().parents[1]):
    sys.exit(f"{FOLDER} is the checkout's, not that of a wheel")
NAMES = [module.name for module in pkgutil.walk_packages([str(FOLDER)], "build_tasks.")]
for name in NAMES:
    importlib.import_module(name)
modules = {path for path in FOLDER.rglob("*.py") if FOLDER / "shipped" not in path.parents}
if len(NAMES) + 1 < len(modules):  # the package itself is not among the names
    sys.exit(f"{FOLDER} has modules that are in no package")
