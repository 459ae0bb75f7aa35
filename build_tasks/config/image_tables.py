"""Parse the tables [images.NAME] of images.toml, which define images of the project's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from build_tasks.config import parsing
from build_tasks.config.parsing import Matching, expected, unknown
from build_tasks.errors import UsageError
from build_tasks.model.matrix import ImageKind
from build_tasks.model.own_image import ATTRIBUTES, OwnImage
from build_tasks.text.formatting import listed

#: Parses the name of an image, which stands in sessions, tags and names of a registry.
parse_name = Matching(
    r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*",
    "a name of lower-case letters and digits, with single '-' between",
)
#: Names of Airflow's images and of the sessions beside them.
_RESERVED = (*map(str, ImageKind), "prod-slim", "all")
_path = Matching(r"\S(?:.*\S)?", "a path")
#: The parsers of the keys, and those of an image with a Dockerfile of its own or without.
PARSERS: Mapping[str, Callable[[Any, str], object]] = {
    "from": parse_name,
    "dockerfile": _path,
    "target": Matching(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "the name of a stage"),
    "context": _path,
    "arguments": parsing.arguments,
    "python": parsing.dependencies,
    "apt": parsing.apt_packages,
    "dags": _path,
    "plugins": _path,
    "config": _path,
    "environment": parsing.variables,
    "build-script": _path,
    "start-script": _path,
    "checks": _path,
    "budget": parsing.megabytes,
}
#: What the keys are, for the schema.
DESCRIPTIONS: Mapping[str, str] = {
    "from": "image that it stands on: prod (the default), ci or another of these tables",
    "dockerfile": "its Dockerfile, which begins with ARG AIRFLOW_IMAGE, FROM ${AIRFLOW_IMAGE}",
    "target": "stage of the Dockerfile (default: the last)",
    "context": "folder of the build context (default: that of images.toml)",
    "arguments": "build arguments of the Dockerfile",
    "python": "Python packages to install, -r FILE or -c FILE",
    "apt": "Debian packages to install, or -r FILE",
    "dags": "folder whose content goes to Airflow's DAGs",
    "plugins": "folder whose content goes to Airflow's plugins",
    "config": "folder whose content goes to Airflow's configuration files",
    "environment": "variables of the image",
    "build-script": "script that the build runs as root, after the packages are installed",
    "start-script": "script that the entrypoint's shell reads before Airflow starts",
    "checks": "file of pytest with checks of the image, for image.verify",
    "budget": "largest size in MB; 0 for any",
}
_OF_DOCKERFILE = ("target", "context", "arguments")
_WITHOUT_DOCKERFILE = (
    *("python", "apt", "dags", "plugins", "config", "environment"),
    *("build-script", "start-script"),
)


def parse(value: object, place: str) -> Mapping[str, OwnImage]:
    """Return the images by name.

    Raises:
        UsageError: a key or value is wrong, or an image stands on none, or on itself.
    """
    if not isinstance(value, Mapping):
        raise expected("tables [images.NAME]", value, place)
    images = {name: _image(name, table, f"{place}.{name}") for name, table in value.items()}
    for name, image in images.items():
        _check_base(images, name, image.origins.get("from", f"{place}.{name}.from"))
    return MappingProxyType(images)


def _image(name: str, value: object, place: str) -> OwnImage:
    parse_name(name, place)
    if name in _RESERVED:
        raise UsageError(f"{place}: {listed(_RESERVED)} are reserved: choose another name")
    if not isinstance(value, Mapping):
        raise expected("a table", value, place)
    for key in value:
        if key not in PARSERS:
            raise unknown(f"{place}: unknown key", key, PARSERS)
    excluded = _WITHOUT_DOCKERFILE if "dockerfile" in value else _OF_DOCKERFILE
    for key in value:
        if key in excluded:
            instead = (
                "the Dockerfile says what the image has"
                if "dockerfile" in value
                else "is for an image with a dockerfile"
            )
            raise UsageError(f"{place}.{key}: {instead}")
    values: dict[str, Any] = {}
    for key, item in value.items():
        parsed = PARSERS[key](item, f"{place}.{key}")
        attribute = ATTRIBUTES.get(key, key.replace("-", "_"))
        values[attribute] = tuple(parsed.items()) if isinstance(parsed, Mapping) else parsed
    return OwnImage(name, **values, origins={key: f"{place}.{key}" for key in value})


def _check_base(images: Mapping[str, OwnImage], name: str, place: str) -> None:
    """Raise UsageError if what an image stands on is unknown, or is the image itself."""
    seen = [name]
    while seen[-1] in images:
        base = images[seen[-1]].base
        if base in seen:
            circle = " -> ".join((*seen[seen.index(base) :], base))
            raise UsageError(f"{place}: circular base images: {circle}")
        seen.append(base)
    if seen[-1] not in {*ImageKind}:
        owner = seen[-2]
        place = images[owner].origins.get("from", place)
        others = [*map(str, ImageKind), *(other for other in images if other != owner)]
        raise unknown(f"{place}: unknown image", seen[-1], others)
