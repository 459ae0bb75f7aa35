"""Images of a project's own, which stand on Airflow's images or on each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from build_tasks.model.aliases import Pairs
from build_tasks.model.matrix import Build, ImageKind, Platform


@dataclass(frozen=True)
class OwnImage:
    """A table [images.NAME]: a Dockerfile of the project, or what the image adds to its base.

    Args:
        name: its name, which stands in the place of `ci` or `prod`.
        base: the image that it stands on: `ci`, `prod`, or the name of another own image.
        dockerfile: its Dockerfile; empty if the suite makes one of the fields below.
        target: the stage of the Dockerfile that is built; empty for the last one.
        context: the folder of the build context, by default the project's root.
        arguments: build arguments of the Dockerfile.
        python: Python packages, or `-r FILE` and `-c FILE`.
        apt: Debian packages, or `-r FILE`.
        dags: the folder whose content goes to the DAGs of Airflow.
        plugins: the same for its plugins.
        config: the same for its configuration files.
        environment: variables of the image.
        build_script: a script that the build runs as root, after the packages are installed.
        start_script: a script that the entrypoint's shell reads before Airflow starts.
        checks: a file of pytest with checks of the image.
        budget: its largest size in MB, 0 for any.
        origins: where each value was set, by key.
    """

    name: str
    base: str = ImageKind.PROD.value
    dockerfile: str = ""
    target: str = ""
    context: str = ""
    arguments: Pairs = ()
    python: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()
    dags: str = ""
    plugins: str = ""
    config: str = ""
    environment: Pairs = ()
    build_script: str = ""
    start_script: str = ""
    checks: str = ""
    budget: int = 0
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)


def chain(images: Mapping[str, OwnImage], name: str) -> tuple[str, ...]:
    """Return an image and what it stands on, down to `ci` or `prod`.

    Args:
        images: the own images by name, in which no image stands on itself.
        name: `ci`, `prod`, or the name of an own image.
    """
    names = [name]
    while names[-1] in images:
        names.append(images[names[-1]].base)
    return tuple(names)


def in_order(images: Mapping[str, OwnImage], names: Iterable[str]) -> tuple[str, ...]:
    """Return images and all that they stand on, each after its base."""
    chains = (reversed(chain(images, name)) for name in names)
    return tuple(dict.fromkeys(name for each in chains for name in each))


def kind(images: Mapping[str, OwnImage], name: str) -> ImageKind:
    """Return which of Airflow's images an image is, or stands on."""
    return ImageKind(chain(images, name)[-1])


def build(images: Mapping[str, OwnImage], name: str, python: str, platform: Platform) -> Build:
    """Return the build of an image, by its name, for one Python (X.Y) and one platform."""
    return Build(kind(images, name), python, platform, name=name if name in images else "")


def setting_rows(images: Mapping[str, OwnImage]) -> Iterator[tuple[str, object, str]]:
    """Yield key, value and origin of each value that a table [images.NAME] sets."""
    for image in images.values():
        for key, origin in image.origins.items():
            value = getattr(image, ATTRIBUTES.get(key, key.replace("-", "_")))
            shown = dict(value) if key in {"arguments", "environment"} else value
            yield f"images.{image.name}.{key}", shown, origin


#: Attributes of keys that are words of Python.
ATTRIBUTES: Mapping[str, str] = {"from": "base"}
