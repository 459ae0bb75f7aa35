"""Layers and configurations that a branch's own builds did not make."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from registries import BASE, COMMIT, DOCKERFILE, MADE

from build_tasks.check import content
from build_tasks.check.content import CacheLayers
from build_tasks.check.image_metadata import PlatformImage
from build_tasks.errors import RegistryError
from build_tasks.inputs import dockerfile
from build_tasks.inputs.dockerfile import inputs
from build_tasks.inputs.dockerfile.inputs import Outcome

LABELS = {
    "of": "base",
    "own": "1",
    "set": "by the build",
    "org.opencontainers.image.revision": COMMIT,
    "org.apache.airflow.main-image.commit-sha": COMMIT,
}


def image(config: dict[str, Any], *layers: str) -> PlatformImage:
    words = (word.partition("=") for word in config.get("Env", ()))
    return PlatformImage(
        "sha256:i",
        config.get("Labels", {}),
        layers,
        {name: text for name, _, text in words},
        config,
        tuple(f"blob-{layer}" for layer in layers),
    )


BASE_IMAGE = image(dict(BASE), "b0", "b1")
LAYERS = ("b0", "b1", "make", "opt", "files")
IMAGE = image({**MADE, "Labels": LABELS}, *LAYERS)
CHAIN = (("b0", -1), ("files", 3), ("make", 4), ("opt", 2), ("b1", 0), ("files", -1))
CACHE = CacheLayers(
    tuple((f"blob-{name}", parent) for name, parent in CHAIN),
    {f"blob-{name}": name for name, _ in CHAIN},
)
LINKED = (False, False, True)


def made(text: str = DOCKERFILE) -> Outcome:
    arguments = {"BASE_IMAGE": "b:1", **content.late_arguments(IMAGE)}
    return inputs.outcome(
        dockerfile.parse(text), arguments, BASE_IMAGE.variables, content.folder(BASE_IMAGE)
    )


def problem(text: str = DOCKERFILE, **config: Any) -> str:
    changed = {**IMAGE.config, **config}
    changed = {name: value for name, value in changed.items() if value is not None}
    return content.config_problem(
        image(changed, *LAYERS), BASE_IMAGE, made(text), {"set": "by the build"}
    )


def test_what_the_dockerfile_makes_is_accepted() -> None:
    assert made().linked == LINKED
    assert made().root == "b:1"
    assert content.layer_problem(IMAGE, BASE_IMAGE, CACHE, LINKED) == ""
    assert problem() == ""


@pytest.mark.parametrize(
    ("command", "words", "same"),
    [
        ('["serve"]', ["serve"], True),
        ("serve", ["/bin/bash", "-c", "serve"], True),
        ('["serve"]', ["/bin/bash", "-c", "serve"], False),
        ("serve", ["serve"], False),
        ("[]", None, True),
        ("[]", ["[]"], False),
    ],
)
def test_only_a_command_without_brackets_runs_in_a_shell(
    command: str, words: list[str] | None, same: bool
) -> None:
    text = DOCKERFILE.replace("CMD serve now", f"CMD {command}")
    assert text != DOCKERFILE
    assert (problem(text, Cmd=words) == "") is same


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({"Entrypoint": ["/evil"]}, "Entrypoint"),
        ({"Cmd": ["/bin/sh", "-c", "serve now"]}, "Cmd"),
        ({"Cmd": None}, "Cmd"),
        ({"User": "0"}, "User"),
        ({"WorkingDir": "/tmp"}, "WorkingDir"),
        ({"Shell": ["/evil"]}, "Shell"),
        ({"StopSignal": "SIGKILL"}, "StopSignal"),
        ({"ExposedPorts": {"80/tcp": {}, "81/tcp": {}}}, "ExposedPorts"),
        ({"Volumes": {}}, "Volumes"),
        ({"OnBuild": ["RUN evil"]}, "OnBuild"),
        ({"Healthcheck": {"Test": ["CMD", "evil"]}}, "Healthcheck"),
        ({"Env": [*MADE["Env"], "LD_PRELOAD=/evil.so"]}, "Env"),
        ({"Env": [*MADE["Env"], MADE["Env"][0]]}, "Env"),
        ({"Env": ["PATH=/evil", *MADE["Env"][1:]]}, "Env"),
        ({"Env": MADE["Env"][:-1]}, "Env"),
        ({"Labels": {**LABELS, "more": "1"}}, "Labels"),
        ({"Labels": {**LABELS, "set": "by somebody"}}, "Labels"),
        ({"Labels": {**LABELS, "org.opencontainers.image.revision": "../x"}}, "Labels"),
        ({"User": "0", "Labels": {}}, "User, Labels"),
    ],
)
def test_any_other_configuration_is_named(config: dict[str, Any], names: str) -> None:
    assert problem(**config) == f"its configuration is not the Dockerfile's: {names}"


def test_a_configuration_without_an_entrypoint_keeps_the_command_of_the_base() -> None:
    text = DOCKERFILE.replace('ENTRYPOINT ["/run"]\nCMD serve now\n', "")
    assert problem(text, Entrypoint=None, Cmd=["sh"]) == ""
    for command in ("", "CMD []\n"):
        text = DOCKERFILE.replace("CMD serve now\n", command)
        assert problem(text, Cmd=None) == ""


def test_a_command_of_another_form_is_no_error() -> None:
    base = replace(BASE_IMAGE, config={**BASE_IMAGE.config, "Cmd": 1})
    changed = image({**base.config, "Cmd": ["x"]}, *LAYERS)
    assert "Cmd" in content.config_problem(
        changed, base, made("ARG BASE_IMAGE\nFROM $BASE_IMAGE\n"), {}
    )


def test_what_cannot_be_compared_is_not_accepted() -> None:
    assert "cannot be compared" in problem(f"{DOCKERFILE}HEALTHCHECK NONE\n")
    base = replace(BASE_IMAGE, config={**BASE, "OnBuild": ["RUN x"]})
    assert "cannot be compared" in content.config_problem(IMAGE, base, made(), {})


@pytest.mark.parametrize(
    ("layers", "why"),
    [
        (("b0", "b1", "evil", "opt", "files"), "its layer blob-evil is not in the cache"),
        (("b0", "evil", "make", "opt", "files"), "its layer blob-evil is not in the cache"),
        (("b0", "b1", "opt", "make", "files"), "its layer blob-opt is not in the cache"),
        (("b0", "b1", "files", "make", "opt"), "its layer blob-files is not in the cache"),
        (("b0", "b1", "make", "opt"), "it has 4 layers, not 2 of the base and 3 of the Docker"),
        ((*LAYERS, "files"), "it has 6 layers, not "),
    ],
)
def test_other_layers_are_named(layers: tuple[str, ...], why: str) -> None:
    other = image(dict(IMAGE.config), *layers)
    assert content.layer_problem(other, BASE_IMAGE, CACHE, LINKED).startswith(why)


def test_a_layer_with_another_content_than_its_image_says_is_named() -> None:
    other = replace(IMAGE, layers=("b0", "b1", "make", "opt", "evil"))
    assert content.layer_problem(other, BASE_IMAGE, CACHE, LINKED) == (
        "its layer blob-files is not in the cache"
    )
    short = replace(IMAGE, blobs=IMAGE.blobs[1:])
    assert content.layer_problem(short, BASE_IMAGE, CACHE, LINKED).startswith("it has 4 layers")


def test_a_linked_layer_may_stand_on_nothing() -> None:
    alone = replace(CACHE, chain=tuple(one for one in CACHE.chain if one != ("blob-files", 3)))
    moved = tuple((name, parent - 1 if parent > 1 else parent) for name, parent in alone.chain)
    alone = replace(alone, chain=moved)
    assert content.layer_problem(IMAGE, BASE_IMAGE, alone, LINKED) == ""
    assert content.layer_problem(IMAGE, BASE_IMAGE, alone, (False,) * 3)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"layers": [1]}', '{"config": {"digest": 1}}'),
        '{"layers": [{"blob": "a", "parent": Infinity}]}',
    ],
)
def test_what_is_no_cache_is_one_line(text: str) -> None:
    with pytest.raises(RegistryError, match="r:c: is not a cache of BuildKit"):
        content.config_digest(text, "r:c")
    with pytest.raises(RegistryError, match="r:c: is not a cache of BuildKit"):
        content.cache_layers(json.dumps({"layers": []}), text, "r:c")
