"""Write commands in messages for the front end that runs, so that they work where they are read."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

#: The console command, and the program of the pre-commit hook.
COMMAND = "airflow-images"
HOOK = "airflow-images-check"
#: The variable that names the settings file.
FILE_VARIABLE = "AIRFLOW_IMAGES_FILE"
#: The sessions of nox that do what a task does for one image.
_SESSIONS = {"image.build": "build", "image.merge": "merge", "image.verify": "verify"}
#: What the noxfile and the tasks.py of a project import.
_LIBRARY = "build_tasks"


def front_end() -> str:
    """Return the program that runs: `nox`, `invoke`, the hook, or else the console command."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    name = {"inv": "invoke"}.get(name, name)
    return name if name in {"nox", "invoke", HOOK} else COMMAND


def task(name: str, *options: str) -> str:
    """Return the command that runs a task, like `invoke engine.stop`."""
    return _in_project(_program(), (name, *options))


def image(
    name: str, kind: str, python: str, architecture: str = "", options: Sequence[str] = ()
) -> str:
    """Return the command that runs the session or task of one image.

    Args:
        name: the task, which has a session for each image.
        kind: `ci`, `prod`, or the name of an own image.
        python: the version, X.Y.
        architecture: that of a single platform; empty for all.
        options: further options.
    """
    if _uses_nox():
        session = f"{_SESSIONS[name]}_{kind}-{python}-{architecture}"
        return _session(session.rstrip("-"), options)
    platform = ("--platform", f"linux/{architecture}") if architecture else ()
    return task(name, "--kind", kind, "--python", python, *platform, *options)


def constraints(python: str, *options: str) -> str:
    """Return the command that resolves the constraints of a Python."""
    if _uses_nox():
        return _session(f"constraints-{python}", options)
    return task("constraints.generate", "--python", python, *options)


def _uses_nox() -> bool:
    """Return whether nox runs, or the hook in a project whose noxfile has the sessions."""
    if front_end() != HOOK:
        return front_end() == "nox"
    noxfile = Path("noxfile.py")
    return noxfile.is_file() and _LIBRARY in noxfile.read_text(errors="replace")


def _session(name: str, options: Sequence[str]) -> str:
    return _in_project(_found("nox"), ("-s", name, *(("--", *options) if options else ())))


def _in_project(program: str, words: Sequence[str]) -> str:
    """Return a command that uses the settings file of this run."""
    file = os.environ.get(FILE_VARIABLE)
    if file and Path(program).name == COMMAND:
        return shlex.join([program, "--file", file, *words])
    named = ["env", f"{FILE_VARIABLE}={file}"] if file else []
    return shlex.join([*named, program, *words])


def _program() -> str:
    """Return the program of tasks; its path if only the environment that nox made has it.

    That environment has no console command where the project is a checkout of the suite.
    """
    if front_end() == "nox" and not shutil.which(COMMAND):
        beside = (Path(sys.executable).with_name(name) for name in (COMMAND, "invoke"))
        return next((str(program) for program in beside if program.exists()), COMMAND)
    return _found("invoke" if front_end() == "invoke" else COMMAND)


def _found(program: str) -> str:
    """Return a program as a shell finds it: by its name, else as it was started, if it runs."""
    runs = Path(sys.argv[0]).name == program
    return sys.argv[0] if runs and not shutil.which(program) else program
