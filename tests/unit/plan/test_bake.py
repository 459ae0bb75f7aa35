"""The plan for bake says what the commands say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import specs

from build_tasks.buildx import commands
from build_tasks.buildx.toolchain import Client
from build_tasks.errors import UsageError
from build_tasks.model.build import BuildSpec, Output
from build_tasks.model.cache import CachePlan
from build_tasks.model.matrix import Platform
from build_tasks.plan import bake

CLIENT = Client("docker", ("docker", "buildx"), {})
SPEC = specs.make(
    dockerfile=Path("/p/Dockerfile.ci"),
    context=Path("/p"),
    platform=Platform.AMD64,
    tags=("r/i:latest", "r/i:two"),
    arguments=(("BASE_IMAGE", "b"), ("TEXT", "a=b,${c} %{d}")),
    secrets=(("ca-bundle", Path("/etc/my,ca.pem")),),
    contexts=(("wheels", Path("/w")),),
    labels=(("l", "x"),),
    cache=CachePlan(),
    kind=Output.LOAD,
    metadata=Path("/m.json"),
)


def target(spec: BuildSpec) -> dict[str, object]:
    return bake.target(spec.identity, commands.build_command(CLIENT, spec))


def test_a_target_says_what_the_command_does() -> None:
    assert target(SPEC) == {
        "description": "ci-3.11-amd64",
        "context": "/p",
        "dockerfile": "/p/Dockerfile.ci",
        "platforms": ["linux/amd64"],
        "pull": True,
        "args": {"SOURCE_DATE_EPOCH": "", "BASE_IMAGE": "b", "TEXT": "a=b,$${c} %%{d}"},
        "labels": {"l": "x"},
        "contexts": {"wheels": "/w"},
        "secret": ['id=ca-bundle,"src=/etc/my,ca.pem"'],
        "tags": ["r/i:latest", "r/i:two"],
        "output": ["type=docker"],
        "attest": ["type=provenance,disabled=true"],
    }


def test_an_output_is_said_as_it_is() -> None:
    assert target(specs.change(SPEC, kind=Output.NONE))["output"] == ["type=cacheonly"]
    pushed = target(specs.change(SPEC, kind=Output.PUSH, sbom="scan"))
    assert pushed["attest"] == ["type=provenance,mode=min", "type=sbom,generator=scan"]
    both = specs.change(SPEC, extra_platforms=(Platform.ARM64,), cache=CachePlan(enabled=False))
    assert target(both)["platforms"] == ["linux/amd64", "linux/arm64"]
    assert target(both)["no-cache"] is True


def test_all_targets_are_in_the_group_by_names_that_bake_takes() -> None:
    builds = [
        (name, commands.build_command(CLIENT, SPEC)) for name in ("ci-3.9-amd64", "prod-3.11-arm64")
    ]
    said = json.loads(bake.definition(builds))
    names = ["ci-3_9-amd64", "prod-3_11-arm64"]
    assert said["group"] == {"default": {"targets": names}}
    assert list(said["target"]) == names


def test_what_bake_has_no_word_for_is_an_error() -> None:
    command = ("docker", "buildx", "build", "--quick", "x", ".")
    with pytest.raises(UsageError, match=r"ci-3\.9: bake has nothing that does what --quick does"):
        bake.target("ci-3.9", command)


def test_bake_reads_what_the_builds_read() -> None:
    builds = [(SPEC.identity, commands.build_command(CLIENT, SPEC))]
    assert bake.reads(builds) == [Path("/etc/my,ca.pem"), Path("/p"), Path("/w")]
