"""What own images stand on."""

from __future__ import annotations

from itertools import product

import pytest

from build_tasks.model import own_image
from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.model.own_image import OwnImage

IMAGES = {
    image.name: image
    for image in (
        OwnImage("top", "site", budget=9, origins={"from": "f: from", "budget": "f: budget"}),
        OwnImage("site", "dags", environment=(("A", "1"),), origins={"environment": "f: e"}),
        OwnImage("dags"),
        OwnImage("tests", "ci"),
    )
}


def test_an_image_stands_on_airflows_through_others() -> None:
    assert own_image.chain(IMAGES, "top") == ("top", "site", "dags", "prod")
    assert own_image.chain(IMAGES, "prod") == ("prod",)
    kinds = {name: own_image.kind(IMAGES, name) for name in ("top", "tests", "ci")}
    assert kinds == {"top": ImageKind.PROD, "tests": ImageKind.CI, "ci": ImageKind.CI}


def test_each_image_comes_once_after_its_base() -> None:
    order = own_image.in_order(IMAGES, ["top", "tests", "dags", "prod"])
    assert order == ("prod", "dags", "site", "top", "ci", "tests")


def test_a_build_has_the_name_of_an_own_image() -> None:
    arm = Platform.ARM64
    assert own_image.build(IMAGES, "site", "3.11", arm) == Build(
        ImageKind.PROD, "3.11", arm, name="site"
    )
    assert own_image.build(IMAGES, "ci", "3.11", arm) == Build(ImageKind.CI, "3.11", arm)


def test_settings_show_each_value_with_its_origin() -> None:
    assert [*own_image.setting_rows(IMAGES)] == [
        ("images.top.from", "site", "f: from"),
        ("images.top.budget", 9, "f: budget"),
        ("images.site.environment", {"A": "1"}, "f: e"),
    ]


@pytest.mark.parametrize("names", [("dags", "dags-3"), ("x", "x-amd64"), ("prod", "prod-amd64")])
def test_identities_of_images_with_alike_names_differ(names: tuple[str, str]) -> None:
    images = {name: OwnImage(name) for name in names if name != "prod"}
    builds = [
        own_image.build(images, name, python, platform)
        for name, python, platform in product(names, ("3.11", "3.12"), Platform)
    ]
    identities = [
        *{build.identity for build in builds},
        *{build.image_identity for build in builds},
    ]
    assert len(identities) == len({*identities}) == 12
