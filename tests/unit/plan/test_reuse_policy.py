"""Which images builds may take."""

from __future__ import annotations

from typing import Any

import pytest

from build_tasks.config import loading
from build_tasks.config.settings import Settings
from build_tasks.model.build import Candidate, ImageOutput, Output, ReusePlan
from build_tasks.model.matrix import Build, ImageKind, Names, Platform
from build_tasks.plan import reuse_policy
from build_tasks.plan.trust import CIRun

BUILD = Build(ImageKind.CI, "3.11", Platform.AMD64)
NAMES = Names("r", "a/b", "main")
PULL = CIRun("it is a fork's", "fix", "v3-1-test")


def settings(**options: str) -> Settings:
    return loading.load({k.replace("_", "-"): v for k, v in options.items()}, environment={})


def resolve(
    run: CIRun = PULL,
    kind: Output = Output.LOAD,
    platforms: int = 1,
    sbom: str = "",
    **options: str,
) -> tuple[tuple[str, ...], list[str]]:
    said: list[str] = []
    chosen = settings(**options)
    requested = ImageOutput(kind, sbom=sbom)
    return reuse_policy.resolve(chosen, run, requested, platforms, said.append), said


@pytest.mark.parametrize(
    ("options", "branches"),
    [
        ({}, ()),
        ({"reuse_from": "none"}, ()),
        ({"reuse_from": "main"}, ("main",)),
        ({"reuse_from": "all"}, ("v3-1-test", "main")),
        ({"reuse_from": "all", "cache_base": "other"}, ("other", "main")),
        ({"reuse_from": "all", "cache_base": "main"}, ("main",)),
        ({"reuse_from": "main", "branch": "v2"}, ("v2",)),
    ],
)
def test_the_base_comes_before_the_main_branch(
    options: dict[str, Any], branches: tuple[str, ...]
) -> None:
    assert resolve(**options) == (branches, [])
    assert resolve(kind=Output.PUSH, platforms=2, **options) == (branches, [])


@pytest.mark.parametrize(
    ("kind", "platforms", "options", "reason"),
    [
        (Output.LOAD, 2, {}, "several platforms are loaded from the builder's cache"),
        (Output.NONE, 1, {}, "only --load and --push can take an image"),
        (Output.DIGEST, 1, {}, "only --load and --push can take an image"),
        (Output.PUSH, 1, {"sbom": "s:1"}, "--sbom: an image that is taken gets none"),
        (Output.LOAD, 1, {"cache_mode": "disabled"}, "--cache-mode disabled makes every step run"),
    ],
)
def test_what_cannot_take_an_image_says_so(
    kind: Output, platforms: int, options: dict[str, Any], reason: str
) -> None:
    found = resolve(kind=kind, platforms=platforms, reuse_from="main", **options)
    assert found == ((), [f"no image is reused: {reason}"])
    assert resolve(kind=kind, platforms=platforms, **options) == ((), [])


@pytest.mark.parametrize(
    ("options", "cache"),
    [
        ({}, "r/a/b/v3/ci/python3.11:cache-linux-amd64"),
        ({"cache_to": "type=registry,ref=c/{branch}:{identity}"}, "c/v3:ci-3.11-amd64"),
        ({"cache_to": "type=gha"}, ""),
    ],
)
def test_an_image_is_compared_with_the_cache_of_its_branch(
    options: dict[str, str], cache: str
) -> None:
    chosen = settings(reuse_deadline="7", **options)
    assert reuse_policy.plan(["v3"], chosen, NAMES, BUILD, ["r/own:x"]) == ReusePlan(
        (Candidate("r/own:x"), Candidate("r/a/b/v3/ci/python3.11:latest", cache)), 7.0
    )
