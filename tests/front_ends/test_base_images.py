"""base.update, base.check and --locked, with a registry whose base images move."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from fake_docker import Bench, last, listing

OLD, NEW, AMD, ARM = (f"sha256:{digit * 64}" for digit in "1234")
BASE = "python:3.11-slim-bookworm"
PYTHON = ("--python", "3.11")


@pytest.fixture
def place(bench: Bench, tmp_path: Path) -> Bench:
    """A copy of the checkout, and a registry that has the base image of one Python."""
    (tmp_path / "registry").mkdir()
    bench.environment["FAKE_REGISTRY"] = str(tmp_path / "registry")
    bench.environment["FAKE_LS"] = listing("default", "linux/amd64", "linux/arm64")
    copy = bench.copy(tmp_path / "project")
    put(copy, BASE, OLD, amd64=AMD, arm64=ARM)
    return copy


def put(place: Bench, reference: str, digest: str, openssl: str = "1", **platforms: str) -> None:
    """Give the registry a base image, under its name and by its digest."""
    config: dict[str, Any] = {"config": {"Env": [f"OPENSSL={openssl}"]}, "rootfs": {}}
    entries = [
        {"digest": text, "platform": {"os": "linux", "architecture": name}}
        for name, text in platforms.items()
    ]
    facts = {
        "manifest": {"digest": digest, "manifests": entries},
        "image": {f"linux/{name}": {**config, "architecture": name} for name in platforms},
    }
    for name in (reference, f"{reference}@{digest}"):
        file = name.translate(str.maketrans("/:@", "___"))
        registry = Path(place.environment["FAKE_REGISTRY"])
        (registry / file).write_text(json.dumps(facts))
        (registry / f"{file}.status").write_text(f"Package: openssl\nVersion: {openssl}-1\n")


def lock(place: Bench) -> dict[str, Any]:
    return tomllib.loads((place.root / "base.lock").read_text())


def test_a_base_is_locked_and_built_on_after_it_has_moved(place: Bench) -> None:
    done = place.invoke("base.update", *PYTHON, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"wrote {place.root / 'base.lock'}\n"
    platforms = ["linux/amd64", "linux/arm64"]
    assert json.loads(done.stdout) == {"3.11": {"base": f"{BASE}@{OLD}", "platforms": platforms}}
    digests = {"linux/amd64": AMD, "linux/arm64": ARM}
    entry = {"reference": BASE, "digest": OLD, "platforms": digests}
    assert lock(place) == {"schema": 1, "python": {"3.11": entry}}

    put(place, BASE, NEW, "2", amd64=NEW, arm64=ARM)
    for options in (("--platform", "amd64"), ("--platform", "amd64,arm64")):
        start = len(place.builds())
        done = place.invoke("image.build", *PYTHON, "--locked", *options)
        assert done.returncode == 0, done.stderr
        builds = place.builds()[start:]
        assert builds
        assert all(f"BASE_IMAGE={BASE}@{OLD}" in words for words in builds)
        assert all(f"org.opencontainers.image.base.digest={OLD}" in words for words in builds)
    done = place.nox("build_ci-3.11", "--platform", "amd64")
    assert done.returncode == 0, done.stderr
    assert f"BASE_IMAGE={BASE}" in place.builds()[-1]
    bake = place.invoke("bake", "--kind", "ci", *PYTHON, "--locked")
    (target,) = json.loads(bake.stdout)["target"].values()
    assert target["args"]["BASE_IMAGE"] == f"{BASE}@{OLD}"


def test_what_moved_is_shown_and_fails_only_if_that_is_asked_for(place: Bench) -> None:
    check = ("base.check", *PYTHON)
    assert place.invoke("base.update", *PYTHON).returncode == 0
    done = place.invoke(*check, "--fail")
    assert (done.returncode, done.stdout) == (0, f"3.11: as locked: {BASE}@{OLD}\n"), done.stderr
    put(place, BASE, NEW, "2", amd64=NEW, arm64=ARM)
    done = place.invoke(*check)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"3.11: moved: {BASE}@{OLD} -> {BASE}@{NEW}",
        "  linux/amd64: OPENSSL 1 -> 2",
        "  linux/amd64: openssl 1-1 -> 2-1",
    ]
    done = place.invoke(*check, "--fail", "--json")
    assert (done.returncode, last(done.stderr)) == (13, "moved, or not locked: 3.11")
    (finding,) = json.loads(done.stdout)
    assert finding["platforms"][0]["changes"] == [
        {"name": "OPENSSL", "before": "1", "now": "2"},
        {"name": "openssl", "before": "1-1", "now": "2-1"},
    ]
    done = place.invoke("base.check", "--python", "3.11,3.12", "--fail")
    assert done.returncode == 13
    assert done.stdout.splitlines()[-1].startswith("3.12: unknown: python:3.12-slim-bookworm: not")


def test_a_base_that_cannot_be_had_leaves_the_others_locked(place: Bench) -> None:
    done = place.invoke("base.update", "--python", "3.11,3.12")
    assert done.returncode == 4
    assert last(done.stderr).startswith("python:3.12-slim-bookworm: not found for linux/amd64")
    assert [*lock(place)["python"]] == ["3.11"]
    before = (place.root / "base.lock").read_bytes()
    assert place.invoke("base.update", "--python", "3.12").returncode == 4
    assert (place.root / "base.lock").read_bytes() == before
    done = place.invoke("base.check", "--python", "3.12", "--fail")
    assert (done.returncode, last(done.stderr)) == (4, "cannot tell whether moved: 3.12")


@pytest.mark.parametrize(
    ("task", "words", "message"),
    [
        ("image.build", ("--python", "3.11", "--locked"),
         "/base.lock: does not exist: write it with: invoke base.update"),
        ("base.check", (), "/base.lock: does not exist: write it with: invoke base.update"),
        ("base.check", ("--python", "3.1"), "--python: unknown Python '3.1': choose 3.9, 3.10, "),
        ("base.update", ("--python", "4"), "--python: unknown Python '4': choose 3.9, 3.10, "),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(
    place: Bench, task: str, words: tuple[str, ...], message: str
) -> None:
    done = place.invoke(task, *words)
    assert done.returncode == 2
    assert message in last(done.stderr)
    assert "Traceback" not in done.stderr
    assert not place.builds()


def test_a_base_that_is_not_locked_is_not_built_on(place: Bench) -> None:
    assert place.invoke("base.update", *PYTHON).returncode == 0
    done = place.invoke("image.build", "--python", "3.12", "--locked", "--platform", "amd64")
    assert (done.returncode, last(done.stderr)) == (
        2,
        "--locked: base.lock has 3.11, not 3.12: run: invoke base.update --python 3.12",
    )
    done = place.invoke("image.build", *PYTHON, "--locked", "--base-image", "debian:13")
    assert done.returncode == 2
    assert last(done.stderr) == (
        f"--locked: base.lock has {BASE} for Python 3.11, not debian:13 "
        "(base.image, --base-image): run: invoke base.update --python 3.11"
    )


def test_several_platforms_stand_on_one_index_without_a_lock(place: Bench) -> None:
    done = place.invoke("image.build", *PYTHON, "--platform", "amd64,arm64")
    assert done.returncode == 0, done.stderr
    bases = {word for words in place.builds() for word in words if word.startswith("BASE_IMAGE=")}
    (base,) = bases
    assert base.startswith(f"BASE_IMAGE={BASE}@sha256:")
