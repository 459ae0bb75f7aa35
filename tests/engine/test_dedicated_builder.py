"""A builder of one's own: created once, as cached as any, removed without a trace."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from suite import Suite, last, steps

from build_tasks.engine import network
from build_tasks.engine.folders import engine_folders

NAME = f"tests-{secrets.token_hex(3)}"
BUILD = ("image.build", "--python", "3.11", "--builder", NAME)


def bridges() -> set[str]:
    """Return the bridges of builders in the containers of this engine."""
    return {name for name in network.bridges(engine_folders()) if name.startswith("afb-")}


def containers(suite: Suite) -> str:
    return suite.engine("ps", "--all", "--format", "{{.Names}}")


def volumes(suite: Suite) -> str:
    return suite.engine("volume", "ls", "--quiet")


def test_a_builder_is_created_used_found_again_and_removed(suite: Suite) -> None:
    volumes_before = volumes(suite)
    suite.good("cache.push", "--python", "3.11")
    creators = [suite.start("invoke", "builder.create", "--builder", NAME) for _ in range(5)]
    said = []
    for process in creators:
        with process:
            _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        said.append(last(err))
    ready = f"builder {NAME} is ready: build with it with --builder {NAME}"
    assert sorted(said) == [f"builder {NAME} exists and runs"] * 4 + [ready]
    assert containers(suite) == f"buildx_buildkit_{NAME}0\n"
    for _ in range(2):
        done = suite.good(*BUILD, "--push", "--progress", "rawjson")
        seen = steps(done.stderr)
        assert len(seen) >= 9
        assert [step for step in seen if not step.cached] == []
    suite.good("cache.prune", "--builder", NAME, "--all")
    (bridge,) = bridges()
    suite.good("builder.remove", "--builder", NAME)
    assert containers(suite) == ""
    assert not Path("/sys/class/net", bridge).exists()
    assert volumes(suite) == volumes_before


@pytest.mark.parametrize("task", ["builder.remove", "image.build"])
def test_a_builder_that_is_not_there_is_one_line(suite: Suite, task: str) -> None:
    options = ("--python", "3.11") if task == "image.build" else ()
    done = suite.invoke(task, "--builder", "nobody", *options)
    assert done.returncode in {2, 3}
    assert "nobody" in last(done.stderr)
    assert "Traceback" not in done.stderr
