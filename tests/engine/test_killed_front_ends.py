"""Killed front ends: their builds end with them, and push nothing more."""

from __future__ import annotations

import json
import secrets
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from registry_proxy import proxied
from suite import Suite

from build_tasks.engine import credentials
from build_tasks.engine.folders import engine_folders
from build_tasks.engine.state import EmbeddedEngine

DOCKERFILE = """\
ARG BASE_IMAGE=scratch
FROM ${BASE_IMAGE} AS main
RUN head -c 100000 /dev/urandom > /random
"""
#: Seconds after which a push that was held up goes on, and within which its buildx has to end.
HELD = 12.0


def mentions(word: str) -> list[str]:
    """Return the commands that run with a word in their arguments."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in command:
            found.append(command)
    return found


def tags(registry: str, image: str) -> list[str]:
    """Return the tags that a registry has of an image."""
    request = urllib.request.Request(
        f"http://{registry}/v2/{image}/tags/list",
        headers={"Authorization": credentials.authorization(engine_folders())},
    )
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - the address is our own
            return list(json.load(answer)["tags"] or ())
    except urllib.error.HTTPError:
        return []


@pytest.mark.parametrize("pythons", ["3.11", "3.11,3.12"], ids=["one", "batch"])
def test_a_push_ends_with_a_killed_front_end(
    project: Suite, engine: EmbeddedEngine, pythons: str
) -> None:
    """Regression: buildx went on to push after the front end was killed."""
    (project.root / "Dockerfile.ci").write_text(DOCKERFILE)
    base = ("--base-image", f"{engine.registry}/debian-python:3.11")
    name = f"tests/{secrets.token_hex(4)}"
    with proxied(engine.registry) as proxy:
        hold = proxy.fault("/blobs/uploads/", method="POST", stall=HELD)
        project.good("image.build", "--python", "3.11")  # makes the base
        project = project.having(AIRFLOW_IMAGES_REPOSITORY=name)
        with project.start(
            *("invoke", "image.build", "--python", pythons, "--push", "--progress", "quiet"),
            *("--registry", proxy.address, *base),
        ) as killed:
            deadline = time.monotonic() + 120
            while not hold.happened and time.monotonic() < deadline:
                time.sleep(0.05)
            assert hold.happened
            assert mentions(name)
            killed.kill()
        deadline = time.monotonic() + HELD
        while mentions(name) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not mentions(name)
        time.sleep(HELD)
    for python in pythons.split(","):
        assert tags(engine.registry, f"{name}/main/ci/python{python}") == []
    project.good("image.build", "--python", pythons, "--push", *base)
    for python in pythons.split(","):
        assert tags(engine.registry, f"{name}/main/ci/python{python}") == ["latest"]
