"""What a changed version costs: only its own, and the image is what a clean install makes."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from suite import Suite, steps

from build_tasks.engine.state import EmbeddedEngine

CORE = "constraints-no-providers"
FEW = ("--airflow-extras", "celery,postgres")
PYTHON = ("--python", "3.11")
OLD, NEW = "2025.1.31", "2025.4.26"
#: Everything that an installation leaves behind; of times, no two installations have the same.
FILES = (
    "cd /opt && find . -printf '%y %m %U:%G %p -> %l\\n' | sort && "
    "find . -type f -print0 | sort -z | xargs -0 sha256sum"
)


@dataclass(frozen=True)
class Image:
    suite: Suite
    name: str

    def files(self) -> list[str]:
        run = ("run", "--rm", "--user", "0", "--entrypoint", "sh", self.name, "-c", FILES)
        return self.suite.engine(*run).splitlines()

    def layers(self, buildx: Suite) -> dict[str, int]:
        """Return the bytes of each layer, as they are in the registry."""
        index = json.loads(buildx.engine("imagetools", "inspect", "--raw", self.name))
        digest = index["manifests"][0]["digest"]
        name = f"{self.name.rpartition(':')[0]}@{digest}"
        made = json.loads(buildx.engine("imagetools", "inspect", "--raw", name))
        return {layer["digest"]: layer["size"] for layer in made["layers"]}


@pytest.fixture(scope="module")
def own(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """A copy of the checkout whose constraints a test may change; the baseline stays."""
    repository = f"{suite.environment['AIRFLOW_IMAGES_REPOSITORY']}/layers"
    project = suite.copy(tmp_path_factory.mktemp("layers") / "project")
    return project.having(AIRFLOW_IMAGES_REPOSITORY=repository)


def pin(project: Suite, version: str) -> None:
    for mode in ("constraints", CORE):
        file = project.root / f"constraints/{mode}-3.11.txt"
        lines = file.read_text().splitlines()
        (at,) = [number for number, line in enumerate(lines) if line.startswith("certifi==")]
        lines[at] = f"certifi=={version}"
        file.write_text("\n".join([*lines, ""]))


def named(project: Suite, engine: EmbeddedEngine, kind: str, tag: str) -> Image:
    repository = project.environment["AIRFLOW_IMAGES_REPOSITORY"]
    return Image(project, f"{engine.registry}/{repository}/main/{kind}/python3.11:{tag}")


def cleanly(project: Suite, image: Image, *options: str) -> None:
    """Build and load an image that was never anything else: its first layer is what it shall be."""
    line = project.good("image.build", *PYTHON, *options, "--load", "--dry-run").stdout
    assert "AIRFLOW_BASELINE=baseline-ci " in line
    changed = line.replace("AIRFLOW_BASELINE=baseline-ci ", f"AIRFLOW_BASELINE={CORE} ")
    subprocess.run(["/bin/sh", "-c", changed], check=True, capture_output=True)
    assert image.suite.engine("image", "inspect", image.name)


@pytest.mark.nightly
def test_a_changed_version_moves_and_installs_itself_alone(
    own: Suite, engine: EmbeddedEngine, buildx: Suite
) -> None:
    own.good("image.build", *PYTHON, "--push", "--push-cache")
    before = named(own, engine, "ci", "latest").layers(buildx)
    pin(own, NEW)
    own.good("cache.prune", "--all")
    options = ("--push", "--push-cache", "--progress", "rawjson", "--tag", "bumped")
    done = own.good("image.build", *PYTHON, *options)
    first, *others = [step.name for step in steps(done.stderr) if not step.cached]
    assert "source=constraints/constraints-3.11.txt" in first
    # Linked copies are put on top of it again, which moves nothing.
    assert [name for name in others if "COPY --link " not in name] == []
    bumped = named(own, engine, "ci", "bumped")
    after = bumped.layers(buildx)
    pushed = [size for digest, size in after.items() if digest not in before]
    assert len(pushed) <= 3  # what changed, the entry point and the sources above it
    assert sum(pushed) < sum(after.values()) / 100

    own.engine("pull", "--quiet", bumped.name)
    clean = named(own, engine, "ci", "clean")
    cleanly(own, clean, "--tag", "clean")
    assert any(f"/certifi-{NEW}.dist-info" in line for line in clean.files())
    assert bumped.files() == clean.files()


def test_what_is_no_longer_asked_for_is_gone(own: Suite, engine: EmbeddedEngine) -> None:
    """Fewer extras than the baseline has: an image like one that never had more."""
    extras = ("--airflow-extras", "celery", "--load")
    own.good("image.build", *PYTHON, *extras, "--tag", "fewer")
    fewer, clean = (named(own, engine, "ci", tag) for tag in ("fewer", "fewer-clean"))
    cleanly(own, clean, *extras[:2], "--tag", "fewer-clean")
    files = fewer.files()
    assert any("/providers/celery/" in line for line in files)
    assert not any("/providers/postgres/" in line for line in files)
    assert files == clean.files()


@pytest.mark.nightly
def test_prod_has_an_old_version_in_no_layer(
    own: Suite, engine: EmbeddedEngine, tmp_path: Path
) -> None:
    pin(own, OLD)  # older than both the baseline's and the one before
    prod = named(own, engine, "prod", "bumped")
    own.good("image.build", "--kind", "prod", *PYTHON, *FEW, "--load", "--tag", "bumped")
    own.engine("image", "save", "--output", str(tmp_path / "image.tar"), prod.name)
    unpack = ("/bin/tar", "-xf", str(tmp_path / "image.tar"), "-C", str(tmp_path))
    subprocess.run(unpack, check=True)
    found = set()
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    for layer in manifest[0]["Layers"]:
        listed = subprocess.run(
            ["/bin/tar", "-tf", str(tmp_path / layer)], capture_output=True, text=True, check=True
        ).stdout
        found |= {part for line in listed.splitlines() for part in line.split("/")}
    assert {name for name in found if name.startswith("certifi-")} == {f"certifi-{OLD}.dist-info"}
    assert not {name for name in found if name.startswith(("pytest-", ".wh."))}


def test_another_version_moves_one_layer_of_bytecode(
    own: Suite, engine: EmbeddedEngine, buildx: Suite
) -> None:
    layers = []
    for version, tag in ((OLD, "before"), (NEW, "after")):
        pin(own, version)
        own.good("image.build", "--kind", "prod", *PYTHON, *FEW, "--push", "--tag", tag)
        layers.append(named(own, engine, "prod", tag).layers(buildx))
    before, after = layers
    assert len(before) == len(after)
    moved = [after[digest] for digest in after.keys() - before.keys()]
    # The environment and the bytecode of some packages; scripts on top of them are a few KB.
    assert len([size for size in moved if size > 100_000]) == 2
    assert sum(moved) < 0.8 * sum(after.values())


@pytest.mark.nightly
def test_prod_is_what_a_clean_installation_makes(own: Suite, engine: EmbeddedEngine) -> None:
    pin(own, OLD)
    bumped, clean = (named(own, engine, "prod", tag) for tag in ("bumped", "clean"))
    own.good("image.build", "--kind", "prod", *PYTHON, *FEW, "--load", "--tag", "bumped")
    cleanly(own, clean, "--kind", "prod", *FEW, "--tag", "clean")
    assert bumped.files() == clean.files()
