"""What goes into an image of the project's own, on top of the image that it stands on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from build_tasks import paths
from build_tasks.config.settings import Settings
from build_tasks.constraints import requirement_files
from build_tasks.errors import UsageError
from build_tasks.inputs.dockerfile import inputs
from build_tasks.inputs.fingerprint import IMAGE_ARGUMENT
from build_tasks.model.aliases import Pairs
from build_tasks.model.labels import Revision
from build_tasks.model.own_image import OwnImage
from build_tasks.plan import arguments, dockerfiles, own_dockerfile
from build_tasks.plan.dockerfiles import Dockerfile
from build_tasks.plan.own_dockerfile import AIRFLOW_ENTRYPOINT, START_ENTRYPOINT, Below, Packages
from build_tasks.plan.selection import Image

#: The keys of scripts; each is a named build context with a file of this name.
_SCRIPTS = ("build-script", "start-script")


class OwnContent(NamedTuple):
    """What goes into an own image on every platform; see `ImageContent`."""

    dockerfile: Dockerfile
    root: Path
    arguments: Pairs
    contexts: Mapping[str, Path]


class LowerImage(NamedTuple):
    """An image that an own image stands on: its name, its Dockerfile and the build arguments."""

    name: str
    dockerfile: Dockerfile
    arguments: Pairs


def content(
    image: Image,
    settings: Settings,
    revision: Revision,
    shared: Mapping[str, Path],
    below: Sequence[LowerImage],
) -> OwnContent:
    """Return what goes into an own image.

    Args:
        image: the image.
        settings: the effective settings.
        revision: the commit and the run.
        shared: the folders of build contexts that all images have, by name.
        below: the images that it stands on, the nearest first.

    Raises:
        UsageError: a file or folder is missing, the Dockerfile does not stand on the image, or the
            images below do not leave what the image needs.
    """
    own = settings.images[image.name]
    planned = arguments.every_image(image.python, settings, revision)
    if own.dockerfile:
        file = _of_project(own, settings, planned)
        root, folders = _folder(own, "context", settings), dict(shared)
        given = file.select(
            dict(own.arguments), {*planned, IMAGE_ARGUMENT}, own.origins.get("arguments", "")
        )
        planned = {**given, **planned}
    else:
        file, folders = _declarative(own, image, settings, below)
        root, folders = file.file.parent, {**folders, **shared}
    pairs = file.gets(tuple(planned.items()))
    arguments.refuse_secrets(pairs)
    arguments.refuse_secrets(own.environment, own.origins.get("environment", ""))
    if own.checks:
        _file(own, "checks", settings)
    named = {name: folder for name, folder in folders.items() if file.reads(name)}
    return OwnContent(file, root, pairs, named)


def _of_project(own: OwnImage, settings: Settings, planned: Mapping[str, str]) -> Dockerfile:
    """Return the image's own Dockerfile, which has to stand on the image below."""
    place = own.origins["dockerfile"]
    file = _file(own, "dockerfile", settings)
    found = dockerfiles.read(
        file, place, own.target, own.origins.get("target", ""), name=own.dockerfile
    )
    if not found.stands_on(IMAGE_ARGUMENT, {**planned, **dict(own.arguments)}):
        raise UsageError(
            f"{place}: {own.dockerfile}: the stage that is built is not based on "
            f"{IMAGE_ARGUMENT}: begin with ARG {IMAGE_ARGUMENT} and FROM ${{{IMAGE_ARGUMENT}}}"
        )
    return found


def _declarative(
    own: OwnImage, image: Image, settings: Settings, below: Sequence[LowerImage]
) -> tuple[Dockerfile, dict[str, Path]]:
    """Return the Dockerfile that the suite makes, and the folders of its build contexts."""
    packages = Packages(
        [
            word
            for item in requirement_files.own_python_items(own, image.python)
            for word in requirement_files.words(item)
        ],
        requirement_files.own_debian_packages(settings, own, image.python),
    )
    left = _left(own, below)
    text = own_dockerfile.text(own, packages, left)
    folder = paths.keep("dockerfiles", {"Dockerfile": text.encode()})
    folders = {
        key: _folder(own, key, settings) for key in own_dockerfile.FOLDERS if getattr(own, key)
    }
    for key in _SCRIPTS:
        if getattr(own, key.replace("-", "_")):
            folders[key] = paths.keep(key, {key: _script(own, key, settings)})
    if lists := requirement_files.own_requirements(settings, own, image.python).files:
        texts = {name: text.encode() for name, text in lists.items()}
        folders[requirement_files.CONTEXT] = paths.keep(requirement_files.CONTEXT, texts)
    file = dockerfiles.read(folder / "Dockerfile", own.name)
    if not left.user and any(one.word == "USER" for one in file.instructions):
        raise UsageError(
            f"{own.origins.get('from', own.name)}: the Dockerfile of {below[-1].name} has no USER, "
            f"so that of {own.name} is unknown: add it there"
        )
    return file, folders


def _left(own: OwnImage, below: Sequence[LowerImage]) -> Below:
    """Return what the images below leave to an image.

    Raises:
        UsageError: they start in a way that start scripts would replace.
    """
    owner, environment = below[-1].name, dict[str, str]()
    config: dict[str, Any] = {}
    for lower in reversed(below):
        arguments = {**dict(lower.arguments), IMAGE_ARGUMENT: "the image below"}
        made = inputs.outcome(lower.dockerfile.instructions, arguments, environment, "/")
        environment = dict(made.environment)
        config = made.configure(config)
        if "ENTRYPOINT" in made.configuration:
            owner = lower.name
    entrypoint = config.get("Entrypoint")
    known = [[*AIRFLOW_ENTRYPOINT], [*START_ENTRYPOINT]]
    if own.start_script and entrypoint not in known:
        raise UsageError(
            f"{own.origins['start-script']}: needs ENTRYPOINT {json.dumps(AIRFLOW_ENTRYPOINT)}, "
            f"and the Dockerfile of {owner} has {'another' if entrypoint else 'none'}"
        )
    return Below(config.get("User", ""), config.get("Cmd", ()), len(below))


def _script(own: OwnImage, key: str, settings: Settings) -> bytes:
    """Return a script of bash, which would take the ends of Windows lines for a part of words."""
    content = _file(own, key, settings).read_bytes()
    before, ending, _ = content.partition(b"\r\n")
    if ending:
        line = before.count(b"\n") + 1
        raise UsageError(
            f"{own.origins[key]}: {getattr(own, key.replace('-', '_'))}: line {line} has a Windows "
            "line ending (CRLF): convert the file to LF (.gitattributes: eol=lf)"
        )
    return content


def _folder(own: OwnImage, key: str, settings: Settings) -> Path:
    """Return the folder of a key, by default the project's."""
    name: str = getattr(own, key)
    folder = settings.project.root / name
    if not folder.is_dir():
        raise UsageError(f"{own.origins[key]}: there is no folder {name}")
    return folder


def _file(own: OwnImage, key: str, settings: Settings) -> Path:
    name: str = getattr(own, key.replace("-", "_"))
    file = settings.project.root / name
    if not file.is_file():
        raise UsageError(f"{own.origins[key]}: there is no file {name}")
    return file
