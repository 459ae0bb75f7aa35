"""Tables [images.NAME]: what they mean, and one line for each mistake."""

from __future__ import annotations

from typing import Any

import pytest

from build_tasks.config import image_tables
from build_tasks.config.image_tables import PARSERS
from build_tasks.errors import UsageError
from build_tasks.model.own_image import OwnImage

WITH_DOCKERFILE = {
    "from": "ci",
    "dockerfile": "site/Dockerfile",
    "target": "final",
    "context": "site",
    "arguments": {"GREETING": "hello"},
    "checks": "tests/test_site.py",
    "budget": 900,
}
DECLARATIVE = {
    "python": ["pandas", "-r requirements.txt"],
    "apt": ["graphviz"],
    "dags": "dags",
    "plugins": "plugins",
    "config": "config",
    "environment": {"A": "1"},
    "build-script": "build.sh",
    "start-script": "start.sh",
}


def test_each_key_is_a_field_of_its_image() -> None:
    assert {*WITH_DOCKERFILE, *DECLARATIVE} == {*PARSERS}
    images = image_tables.parse({"site": WITH_DOCKERFILE, "dags": DECLARATIVE}, "f: images")
    assert dict(images) == {
        "site": OwnImage(
            "site",
            base="ci",
            dockerfile="site/Dockerfile",
            target="final",
            context="site",
            arguments=(("GREETING", "hello"),),
            checks="tests/test_site.py",
            budget=900,
        ),
        "dags": OwnImage(
            "dags",
            base="prod",
            python=("pandas", "-r requirements.txt"),
            apt=("graphviz",),
            dags="dags",
            plugins="plugins",
            config="config",
            environment=(("A", "1"),),
            build_script="build.sh",
            start_script="start.sh",
        ),
    }
    assert images["dags"].origins["build-script"] == "f: images.dags.build-script"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1, "images: expected tables [images.NAME], got 1"),
        ({"dags": 1}, "images.dags: expected a table, got 1"),
        ({"dags": {"dag": "x"}}, "images.dags: unknown key 'dag': did you mean dags?"),
        ({"dags": {"from": "prd"}}, "images.dags.from: unknown image 'prd': did you mean prod?"),
        (
            {"dags": {}, "site": {"from": "dag"}},
            "images.site.from: unknown image 'dag': did you mean dags?",
        ),
        (
            {"top": {"from": "site"}, "site": {"from": "dag"}, "dags": {}},
            "images.site.from: unknown image 'dag': did you mean dags?",
        ),
        (
            {"dags": {"from": "dags"}},
            "images.dags.from: circular base images: dags -> dags",
        ),
        (
            {"a": {"from": "b"}, "b": {"from": "c"}, "c": {"from": "b"}},
            "images.a.from: circular base images: b -> c -> b",
        ),
        (
            {"dags": {"dockerfile": "D", "dags": "dags"}},
            "images.dags.dags: the Dockerfile says what the image has",
        ),
        ({"dags": {"target": "t"}}, "images.dags.target: is for an image with a dockerfile"),
        ({"dags": {"dags": 1}}, "images.dags.dags: expected a path, got 1"),
        ({"dags": {"dockerfile": ""}}, "images.dags.dockerfile: expected a path, got ''"),
        ({"dags": {"python": 1}}, "images.dags.python: expected a list of strings "),
        ({"dags": {"environment": {"A-B": "1"}}}, "images.dags.environment: expected the name of"),
        ({"dags": {"budget": "x"}}, "images.dags.budget: expected a number of megabytes"),
        ({"dags": {"from": 1}}, "images.dags.from: expected a name of lower-case letters"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line(value: object, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        image_tables.parse(value, "images")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["ci", "prod", "prod-slim", "all"])
def test_names_of_airflows_images_and_sessions_are_reserved(name: str) -> None:
    with pytest.raises(UsageError, match=rf"^images.{name}: ci, prod, prod-slim, all are reserved"):
        image_tables.parse({name: {}}, "images")


def test_a_long_name_is_refused_at_once() -> None:
    """A defect once found: each letter doubled the time, to minutes."""
    with pytest.raises(UsageError, match="expected a name of lower-case letters and digits"):
        image_tables.parse({f"{'a' * 200}_x": {}}, "images")


@pytest.mark.parametrize("name", ["Dags", "dags-3.11", "dags_1", "-a", "a-", "a--b", "3d", ""])
def test_other_names_are_refused(name: str) -> None:
    """A dot would make the end of an identity ambiguous: it begins with the Python there."""
    with pytest.raises(UsageError, match="expected a name of lower-case letters and digits"):
        image_tables.parse({name: {}}, "images")


@pytest.mark.parametrize("name", ["d", "dags", "dags-3", "x-amd64", "dags-slim", "last"])
def test_names_are_accepted(name: str) -> None:
    table: dict[str, Any] = {name: {}}
    assert image_tables.parse(table, "images")[name].base == "prod"
