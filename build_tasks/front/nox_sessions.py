"""The verbs as sessions of nox, one for each image and Python."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import nox

from build_tasks import process
from build_tasks.commands.output import reported
from build_tasks.config import loading
from build_tasks.config.options import Options
from build_tasks.config.parsing import unknown
from build_tasks.errors import ImagesError
from build_tasks.front import command_line
from build_tasks.front.verbs import BUILD_ALL, VERBS, Verb
from build_tasks.model.matrix import ImageKind, Platform

#: The options of nox that name sessions, and those that list them.
_SELECTING = frozenset(("-s", "-e", "--session", "--sessions"))
_LISTING = frozenset(("-l", "--list", "--list-sessions"))
#: The verbs of one image and Python.
_TITLES = {"build": "Build", "merge": "Merge the platforms of", "verify": "Verify"}


def register(words: Sequence[str]) -> None:
    """Register the sessions of verbs; end the program if the settings are wrong.

    Args:
        words: the command line. If it lists sessions, those of single platforms are left out.
    """
    try:
        with reported():
            pythons = loading.load().pythons
    except ImagesError as error:
        sys.exit(f"nox > {error}")
    listing = bool(_LISTING & {*words})
    for (name, title), python, kind in product(_TITLES.items(), pythons, ImageKind):
        verb, session = VERBS[f"image.{name}"], f"{name}_{kind}-{python}"
        fixed = {"kind": kind.value, "python": python}
        tags = (f"{name}_{kind}", f"python-{python}")
        text = f"{title} the {kind.upper()} image with Python {python}"
        _register(session, verb, f"{text}.", fixed, *tags)
        for platform in Platform if name == "build" and not listing else ():
            on_platform = {**fixed, "platform": platform.value}
            architecture = platform.architecture
            _register(
                f"{session}-{architecture}", verb, f"{text} on {architecture}.", on_platform, *tags
            )
    _register("build_all", BUILD_ALL, "Build the whole matrix, or the selected part.", {})
    for python in pythons:
        verb, title = (
            VERBS["constraints.generate"],
            f"Resolve constraints/constraints-{python}.txt.",
        )
        _register(f"constraints-{python}", verb, title, {"python": python}, "constraints")


def _register(name: str, verb: Verb, title: str, fixed: Mapping[str, str], *tags: str) -> None:
    """Register the session of a verb with some options that are fixed by its name."""
    examples = [re.sub(r"--(kind|python) \S+ ?", "", text) for text in verb.examples]
    options = [option for option in verb.options if option.name not in fixed]
    verb = Verb(verb.function, examples, *options)

    def body(session: nox.Session) -> None:
        try:
            with reported():
                given = command_line.parse(verb, session.posargs, name, f"nox -s {name} --")
            verb.run(Options({**given.given, **fixed}))
        except ImagesError as error:
            session.error(str(error))

    body.__doc__ = title
    nox.session(name=name, venv_backend="none", tags=[*tags])(body)


def start(session: nox.Session, program: str, *arguments: str) -> None:
    """Run a program from the session's virtual environment; end the session if it fails."""
    command = (str(Path(session.bin) / program), *arguments)
    with process.interruptible():
        completed = process.stream(
            command, environment={"VIRTUAL_ENV": session.virtualenv.location}
        )
    if completed.returncode:
        session.error(f"{program} exited with code {completed.returncode}")


def check(words: Sequence[str]) -> None:
    """End the program if a command line names an unknown session: nox suggests none.

    Args:
        words: the command line.
    """
    known = nox.registry.get()
    naming = False
    for word in words:
        if word == "--":
            break
        if word.startswith("-"):
            option, _, value = word.partition("=")
            naming = option in _SELECTING
        else:
            value = word
        name = value.partition("(")[0] if naming else ""
        if name and name not in known:
            sys.exit(f"nox > {unknown('unknown session', name, known, 'nox -l')}")
