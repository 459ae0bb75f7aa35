"""A bake file builds what the commands build."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import specs

from build_tasks.buildx import commands
from build_tasks.buildx.toolchain import Client
from build_tasks.model import cache_backends
from build_tasks.model.build import BuildSpec, Output, Secret
from build_tasks.model.cache import CachePlan
from build_tasks.model.matrix import Platform
from build_tasks.plan import bake

CLIENT = Client("docker", ("docker", "buildx"), {})
SPEC = specs.make(
    dockerfile=Path("/p/Dockerfile.ci"),
    context=Path("/p"),
    platform=Platform.AMD64,
    image="r/i",
    tags=("r/i:latest", "r/i:two"),
    arguments=(("BASE_IMAGE", "b"), ("TEXT", "a=b,${c} %{d}")),
    secrets=(Secret("ca-bundle", Path("/etc/my,ca.pem")), Secret("token", variable="TOKEN")),
    ssh=("default",),
    contexts=(("wheels", Path("/w")),),
    labels=(("l", "x"), ("org.opencontainers.image.title", "t")),
    cache=CachePlan(),
    kind=Output.LOAD,
    metadata=Path("/m.json"),
)
CACHE = cache_backends.registry("r/i:cache")
CACHED = specs.change(SPEC, cache=CachePlan((CACHE,), CACHE.for_export(())))
#: Options of a run, which have no counterpart in a target.
RUN_OPTIONS = ("--builder", "--progress", "--metadata-file")
#: The attributes of a target that options of `buildx build` with one value correspond to.
LISTS = {
    "--annotation": "annotations",
    "--secret": "secret",
    "--ssh": "ssh",
    "--cache-from": "cache-from",
    "--cache-to": "cache-to",
    "--tag": "tags",
    "--output": "output",
    "--attest": "attest",
}
TABLES = {"--build-arg": "args", "--label": "labels", "--build-context": "contexts"}
PROVENANCE = {"false": "disabled=true", "mode=min": "mode=min"}


def target_of_command(spec: BuildSpec) -> dict[str, Any]:
    """Return the target that a build's command describes, with literal texts."""
    command = commands.build_command(CLIENT, spec)
    target: dict[str, Any] = {"context": command[-1], "args": {"SOURCE_DATE_EPOCH": ""}}
    words = iter(command[command.index("build") + 1 : -1])
    for word in words:
        if word in {"--pull", "--no-cache"}:
            target[word.removeprefix("--")] = True
            continue
        value = "type=docker" if word == "--load" else next(words)
        option = "--output" if word == "--load" else word
        if option == "--provenance":
            option, value = "--attest", f"type=provenance,{PROVENANCE[value]}"
        if option == "--sbom":
            option, value = "--attest", f"type=sbom,{value}"
        if option in LISTS:
            target.setdefault(LISTS[option], []).append(value)
        elif option in TABLES:
            name, _, text = value.partition("=")
            target.setdefault(TABLES[option], {})[name] = text
        elif option == "--file":
            target["dockerfile"] = value
        elif option == "--platform":
            target["platforms"] = value.split(",")
        else:
            assert option in RUN_OPTIONS, option
    return target


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        CACHED,
        specs.change(SPEC, kind=Output.NONE),
        specs.change(SPEC, kind=Output.PUSH, sbom="scan"),
        specs.change(SPEC, kind=Output.DIGEST),
        specs.change(SPEC, kind=Output.DIGEST, placeholder_tag="r/i:linux-amd64"),
        specs.change(SPEC, kind=Output.LOAD, epoch="17", sbom="scan"),
        specs.change(SPEC, arguments=(("SOURCE_DATE_EPOCH", "17"),)),
        specs.change(SPEC, extra_platforms=(Platform.ARM64,), cache=CachePlan(enabled=False)),
    ],
)
def test_target_and_command_are_the_same_build(spec: BuildSpec) -> None:
    target = commands.bake_target(spec)
    assert target.pop("description") == spec.identity
    assert target == target_of_command(spec)


def test_target_has_the_attributes_of_bake() -> None:
    assert commands.bake_target(SPEC) == {
        "description": "ci-3.11-amd64",
        "context": "/p",
        "dockerfile": "/p/Dockerfile.ci",
        "platforms": ["linux/amd64"],
        "pull": True,
        "args": {"SOURCE_DATE_EPOCH": "", "BASE_IMAGE": "b", "TEXT": "a=b,${c} %{d}"},
        "labels": {"l": "x", "org.opencontainers.image.title": "t"},
        "contexts": {"wheels": "/w"},
        "secret": ['id=ca-bundle,"src=/etc/my,ca.pem"', "id=token,env=TOKEN"],
        "ssh": ["default"],
        "tags": ["r/i:latest", "r/i:two"],
        "output": ["type=docker"],
        "attest": ["type=provenance,disabled=true"],
    }


def test_all_targets_are_in_the_default_group() -> None:
    builds = [specs.change(SPEC, python="3.9"), SPEC]
    definition = json.loads(bake.definition(builds))
    names = ["ci-3_9-amd64", "ci-3_11-amd64"]
    assert definition["group"] == {"default": {"targets": names}}
    assert list(definition["target"]) == names


def test_a_target_stands_on_the_result_of_another_target() -> None:
    own = specs.change(
        SPEC,
        name="dags",
        needs="ci-3.11-amd64",
        arguments=(("AIRFLOW_IMAGE", "r/i:latest"),),
        base_argument="AIRFLOW_IMAGE",
        layout=Path("/l"),
    )
    target = json.loads(bake.definition([SPEC, own]))["target"]["dags-3_11-amd64"]
    # BuildKit looks for a context of that reference without the tag `latest`.
    assert target["contexts"] == {"wheels": "/w", "r/i": "target:ci-3_11-amd64"}
    assert target["output"] == ["type=docker"]


def test_texts_are_no_templates_of_bake() -> None:
    target = json.loads(bake.definition([SPEC]))["target"]["ci-3_11-amd64"]
    assert target["args"]["TEXT"] == "a=b,$${c} %%{d}"


def test_bake_has_to_be_allowed_files_and_agents() -> None:
    files = ["fs.read=/etc/my,ca.pem", "fs.read=/p", "fs.read=/w"]
    assert bake.entitlements([SPEC, SPEC]) == [*files, "ssh"]
    keys = specs.change(SPEC, ssh=("git=/key",))
    assert bake.entitlements([keys]) == [files[0], "fs.read=/key", *files[1:]]
