"""A repository of a team: settings, and the two files that give it sessions and tasks."""

from __future__ import annotations

import sys
from pathlib import Path

from build_tasks.text.hints import COMMAND

NOXFILE = """\
# /// script
# dependencies = ["airflow-images", "nox"]
# ///
from build_tasks.front.nox_sessions import register

register()
"""
TASKS = """\
from build_tasks.front import invoke_tasks

namespace = invoke_tasks.namespace()
"""


def make(folder: Path, settings: str) -> Path:
    """Make a team's folder, with these settings beyond one Python and no extras, and return it."""
    folder.mkdir(parents=True)
    (folder / "images.toml").write_text(f'pythons = ["3.11"]\n{settings}[airflow]\nextras = []\n')
    (folder / "noxfile.py").write_text(NOXFILE)
    (folder / "tasks.py").write_text(TASKS)
    return folder


def install(folder: Path) -> Path:
    """Write the console command into a folder, as pip does, and return it."""
    program = folder / COMMAND
    program.write_text(
        f"#!{sys.executable}\nfrom build_tasks.front.console_command import main\n\nmain()\n"
    )
    program.chmod(0o755)
    return program
