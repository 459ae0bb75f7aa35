"""The image has its labels, no build tools or caches, no secrets, and keeps its budget."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

from build_tasks.buildx import docker
from build_tasks.text.redaction import is_secret_name
from build_tasks.verify.inventory import File
from build_tasks.verify.plugin import PROD, expect
from build_tasks.verify.target import Target

_COMPILERS = re.compile(
    r"(?:^|/)s?bin/(?:[a-z0-9_]+-linux-gnu-)?"
    r"(?:gcc|g\+\+|cc|c\+\+|cpp|clang|clang\+\+|ld|as|make|cmake|ninja|rustc|cargo|go|gfortran)"
    r"(?:-[0-9.]+)?$"
)
_CACHES = re.compile(
    r"^(?:var/cache/apt/(?:archives/)?[^/]+\.(?:deb|bin)|var/lib/apt/lists/[^/]+_[^/]+|"
    r"var/cache/(?:pip|uv)/.+|root/\.cache/.+|home/[^/]+/\.cache/.+|tmp/.+)$"
)
_SECRETS = re.compile(
    r"(?:^|/)(?:\.netrc|\.npmrc|\.pypirc|\.git-credentials|\.docker/config\.json|"
    r"id_(?:rsa|dsa|ecdsa|ed25519)|\.aws/credentials)$|^run/secrets/.+"
)
#: Packages contain published keys for their own tests.
_PUBLISHED = re.compile(r"/(?:site|dist)-packages/")
_BUILD_TOOLS = re.compile(
    r"/(?:pip|setuptools|wheel|uv|hatchling|flit_core|poetry|Cython|maturin)/(?:.*/)?__pycache__/"
)


def test_its_labels_say_what_it_is(target: Target) -> None:
    image, build = target.image, target.build
    wanted = ("python.version", "version", "image", "uid")
    missing = [f"org.apache.airflow.{name}" for name in wanted if not image.label(name)]
    expect(not missing, f"no label {', '.join(missing)}")
    python = ".".join(image.python.split(".")[:2])
    expect(python == build.python, f"the label says Python {python}, not {build.python}")
    airflow = image.airflow
    expect(airflow == target.airflow, f"the label says Airflow {airflow}, not {target.airflow}")
    if created := image.labels.get("org.opencontainers.image.created"):
        datetime.fromisoformat(created)


@PROD
def test_no_compiler_is_left(files: list[File]) -> None:
    _expect_none("compilers", files, lambda file: bool(_COMPILERS.search(file.path)))


@PROD
def test_no_cache_of_packages_is_left(files: list[File]) -> None:
    _expect_none("caches", files, lambda file: not file.folder and bool(_CACHES.match(file.path)))


@PROD
def test_no_bytecode_of_build_tools_is_left(files: list[File]) -> None:
    _expect_none("bytecode", files, lambda file: bool(_BUILD_TOOLS.search(f"/{file.path}")))


def test_no_secret_is_in_it(target: Target, files: list[File]) -> None:
    _expect_none("secrets", files, _is_secret)
    history = docker.history(target.client, target.image.reference)
    steps = "\n".join(layer["CreatedBy"] for layer in history)
    names = [entry.partition("=")[0] for entry in target.image.config.get("Env") or []]
    names += re.findall(r"(?:ARG |ENV |[|]\d+ (?:\S+=\S* )*?)([A-Za-z_][A-Za-z0-9_]*)=", steps)
    bad = sorted({name for name in names if is_secret_name(name)})
    expect(not bad, f"the image's environment or history has {', '.join(bad)}")


def test_it_is_within_its_budget(target: Target) -> None:
    history = docker.history(target.client, target.image.reference)
    layers = [(int(layer["Size"]), layer["CreatedBy"]) for layer in history]
    total = sum(size for size, _ in layers) / 1e6
    largest = "".join(
        f"\n  {size / 1e6:7.0f} MB  {' '.join(text.split())[:100]}"
        for size, text in sorted(layers, reverse=True)[:5]
    )
    message = f"the image has {total:.0f} MB, its budget is {target.budget} MB"
    expect(not target.budget or total <= target.budget, f"{message}; the largest layers:{largest}")


def _expect_none(kind: str, files: list[File], unwanted: Callable[[File], bool]) -> None:
    paths = [f"/{file.path}" for file in files if unwanted(file)]
    expect(not paths, f"{kind}: {', '.join(paths[:5])}")


def _is_secret(file: File) -> bool:
    if file.key and not _PUBLISHED.search(file.path):
        return True
    return not file.folder and bool(_SECRETS.search(file.path))
