"""The verbs as sessions of nox, one for each image and Python."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import nox

from build_tasks.front import startup

startup.end_on_interrupt()

from build_tasks import process
from build_tasks.commands.output import reported
from build_tasks.config import loading
from build_tasks.config.options import Options
from build_tasks.config.parsing import nearest
from build_tasks.errors import ImagesError
from build_tasks.front import command_line
from build_tasks.front.verbs import BUILD_ALL, SHELL, TEST, VERBS, Verb
from build_tasks.model import own_image
from build_tasks.model.matrix import ImageKind, Platform

#: The options of nox that name sessions, and those that list them.
_SELECTING = frozenset(("-s", "-e", "--session", "--sessions"))
_LISTING = frozenset(("-l", "--list", "--list-sessions"))
#: The verbs of one image and Python.
_TITLES = {"build": "Build", "merge": "Merge the platforms of", "verify": "Verify"}
_RUNS = {
    "shell": (SHELL, "Start a shell in"),
    "test": (TEST, "Run pytest, or a command, in"),
}


def register(words: Sequence[str] | None = None) -> None:
    """Register the sessions of verbs; none of them runs unless it is named.

    A noxfile calls this below its own sessions. The program ends if the settings are wrong, or a
    session is named that is like one of those, but unknown.

    Args:
        words: the command line; by default, that of this process. If it lists sessions, those of
            single platforms are left out.
    """
    words = sys.argv[1:] if words is None else words
    try:
        with reported():
            settings = loading.load()
    except ImagesError as error:
        sys.exit(f"nox > {error}")
    pythons, images = settings.pythons, settings.image_names
    listing = bool(_LISTING & {*words})
    for (name, title), python, image in product(_TITLES.items(), pythons, images):
        verb, session = VERBS[f"image.{name}"], f"{name}_{image}-{python}"
        fixed = {"kind": image, "python": python}
        tags = (f"{name}_{image}", f"python-{python}")
        text = f"{title} the {_title(image)} with Python {python}"
        _register(session, verb, f"{text}.", fixed, *tags)
        for platform in Platform if name == "build" and not listing else ():
            on_platform = {**fixed, "platform": platform.value}
            architecture = platform.architecture
            _register(
                f"{session}-{architecture}", verb, f"{text} on {architecture}.", on_platform, *tags
            )
    of_ci = [name for name in images if own_image.kind(settings.images, name) is ImageKind.CI]
    for (name, (verb, title)), python, image in product(_RUNS.items(), pythons, of_ci):
        text = f"{title} the {_title(image)} with Python {python}."
        fixed, tags = {"kind": image, "python": python}, (f"{name}_{image}", f"python-{python}")
        _register(f"{name}_{image}-{python}", verb, text, fixed, *tags)
    _register("build_all", BUILD_ALL, "Build the whole matrix, or the selected part.", {})
    for python in pythons:
        verb, title = (
            VERBS["constraints.generate"],
            f"Resolve constraints/constraints-{python}.txt.",
        )
        _register(f"constraints-{python}", verb, title, {"python": python}, "constraints")
    _refuse_misspelt(words, Path(traceback.extract_stack(limit=2)[0].filename))
    startup.raise_on_interrupt()  # nox itself ends the programs that it starts


def _title(image: str) -> str:
    return f"{image.upper()} image" if image in {*ImageKind} else f"image {image}"


def _register(name: str, verb: Verb, title: str, fixed: Mapping[str, str], *tags: str) -> None:
    """Register the session of a verb with some options that are fixed by its name."""
    if name in nox.registry.get():  # nox would warn, and run the last one
        sys.exit(f"nox > session {name!r} is defined twice: register() adds one of that name")
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
    nox.session(name=name, venv_backend="none", tags=[*tags], default=False)(body)


def start(session: nox.Session, program: str, *arguments: str) -> None:
    """Run a program from the session's virtual environment; end the session if it fails."""
    command = (str(Path(session.bin) / program), *arguments)
    with process.interruptible():
        completed = process.stream(
            command, environment={"VIRTUAL_ENV": session.virtualenv.location}
        )
    if completed.returncode:
        session.error(f"{program} exited with code {completed.returncode}")


def _refuse_misspelt(words: Sequence[str], noxfile: Path) -> None:
    """End the program if a command line misspells a session: nox suggests none.

    A session that the noxfile defines further below is not registered yet.
    """
    known, text = nox.registry.get(), noxfile.read_text(encoding="utf-8", errors="replace")
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
        near = nearest(name, known)
        below = re.search(rf"def {re.escape(name)}\b|['\"]{re.escape(name)}['\"]", text)
        if near and name not in known and not below:
            sys.exit(f"nox > unknown session {name!r}: did you mean {near}?")
