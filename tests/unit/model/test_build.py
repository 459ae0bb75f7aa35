"""The parts of a build, and their names."""

from __future__ import annotations

from pathlib import Path

import pytest
import specs

from build_tasks.model.build import DigestFile, Output
from build_tasks.model.matrix import Platform


@pytest.mark.parametrize(
    ("output", "pushes"),
    [(Output.LOAD, False), (Output.PUSH, True), (Output.DIGEST, True), (Output.NONE, False)],
)
def test_an_output_goes_to_a_registry_or_not(output: Output, pushes: bool) -> None:
    assert output.pushes is pushes


def test_a_build_of_several_platforms_is_named_by_none() -> None:
    spec = specs.make()
    assert (spec.identity, spec.platforms) == ("ci-3.11-amd64", (Platform.AMD64,))
    both = specs.change(spec, extra_platforms=(Platform.ARM64,))
    assert (both.identity, both.platforms) == ("ci-3.11", (Platform.AMD64, Platform.ARM64))


def test_an_image_without_a_tag_is_named_by_its_digest() -> None:
    pushed = DigestFile(specs.BUILD, "r/i", "3.3.2", "", digest="sha256:1")
    assert (pushed.identity, pushed.reference) == ("ci-3.11-amd64", "r/i@sha256:1")


def test_each_run_has_a_metadata_file_of_its_own() -> None:
    run = specs.make(metadata=Path("/m/ci-3.11.json"), run_id="7").run
    assert run.own_metadata == Path("/m/ci-3.11-7.json")
    assert specs.make(metadata=Path("/m/ci.json")).run.own_metadata == Path("/m/ci.json")
