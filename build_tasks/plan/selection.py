"""Which images the options select."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from build_tasks.config.options import Options
from build_tasks.config.parsing import Choice
from build_tasks.config.settings import FIELDS, Settings
from build_tasks.constraints import constraint_files, extras
from build_tasks.errors import UsageError
from build_tasks.model import matrix, own_image
from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.plan import dockerfiles
from build_tasks.text.formatting import listed


class Image(NamedTuple):
    """An image for one Python (X.Y), whatever its platform; see `Build`."""

    kind: ImageKind
    python: str
    slim: bool
    name: str = ""

    @property
    def title(self) -> str:
        """Its name: `ci`, `prod`, or its own."""
        return self.name or self.kind.value

    def build(self, platform: Platform) -> Build:
        """Return the build for a platform."""
        return Build(self.kind, self.python, platform, slim=self.slim, name=self.name)


def select(options: Options, settings: Settings) -> list[Image]:
    """Return the images that the options select; the constraints of their Airflow are checked.

    Raises:
        UsageError: an image or Python is unknown, none is named, or its constraints are unusable.
    """
    parse = Choice("image", settings.image_names)
    names = options.items("kind") or [ImageKind.CI.value]
    images = list(dict.fromkeys(parse(name, "--kind") for name in names))
    kinds = list(dict.fromkeys(own_image.kind(settings.images, name) for name in images))
    versions = options.items("python")
    if not versions:
        raise UsageError(f"--python: name one or more of {listed(settings.pythons)}")
    pythons = list(
        dict.fromkeys(matrix.parse_python(text, "--python", settings.pythons) for text in versions)
    )
    _check_options(settings, kinds)
    kinds = [
        kind
        for kind in kinds
        if dockerfiles.of_kind(settings, kind).installs_airflow(settings, kind)
    ]
    ci_release = ImageKind.CI in kinds and not settings.ci_checkout
    for python in pythons if ci_release else ():
        file = constraint_files.path(settings.project, python)
        constraint_files.check(file, python, settings.airflow_for(python))
    # Wheels and sources may have other extras: airflow_source and airflow_tree check them.
    released = {
        ImageKind.CI: ci_release,
        ImageKind.PROD: ImageKind.PROD in kinds and settings.airflow_from == "release",
    }
    checked = [kind for kind in kinds if released[kind]]
    for python in pythons if checked else ():
        extras.check(settings, python, *checked)
    return _images(settings, images, pythons)


def with_bases(images: Sequence[Image], settings: Settings) -> list[Image]:
    """Return images and all that they stand on, each after its base."""
    names = own_image.in_order(settings.images, (image.title for image in images))
    pythons = dict.fromkeys(image.python for image in images)
    return _images(settings, names, pythons)


def _images(settings: Settings, names: Iterable[str], pythons: Iterable[str]) -> list[Image]:
    pythons = [*pythons]
    result = []
    for name in names:
        own = settings.images.get(name)
        kind = own_image.kind(settings.images, name)
        slim = kind is ImageKind.PROD and settings.prod_slim and not own
        result += [Image(kind, python, slim, own.name if own else "") for python in pythons]
    return result


def select_one(options: Options, settings: Settings) -> Image:
    """Return the one image that the options select; else like `select`."""
    images = select(options, settings)
    if len(images) > 1:
        option = "python" if len(options.items("python")) > 1 else "kind"
        raise UsageError(f"--{option}: one at a time: {options.text(option)}")
    return images[0]


def _check_options(settings: Settings, kinds: list[ImageKind]) -> None:
    """Raise UsageError for an option that none of the images has."""
    for field in FIELDS:
        given = settings.origins[field.key] == f"--{field.name}"
        if given and field.kind and field.kind not in kinds:
            raise UsageError(f"--{field.name}: is for the {field.kind.upper()} image only")
    # Beside a CI image, extras may be meant for that one.
    if settings.prod_slim and kinds == [ImageKind.PROD]:
        for option, key in (
            ("airflow-extras", "airflow.extras"),
            ("airflow-extras-add", "airflow.extras-add"),
            ("prod-clients", "prod.clients"),
        ):
            if settings.origins[key] == f"--{option}":
                profile = settings.origins["prod.profile"]
                raise UsageError(
                    f"--{option}: the profile slim ({profile}) has none: leave one of them out"
                )
