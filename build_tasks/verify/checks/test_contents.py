"""The image says what it is, and holds nothing that only building needs, and no secret."""

from __future__ import annotations

import json
import re
from datetime import datetime

from build_tasks.text.redaction import is_secret_name
from build_tasks.verify.container import Containers
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
#: Keys that packages test themselves with are known to everybody.
_PUBLISHED = re.compile(r"/(?:site|dist)-packages/")
_BUILD_TOOLS = re.compile(
    r"/(?:pip|setuptools|wheel|uv|hatchling|flit_core|poetry|Cython|maturin)/(?:.*/)?__pycache__/"
)
_WANTED = ("python.version", "version", "image", "uid")


def test_its_labels_say_what_it_is(target: Target) -> None:
    labels = target.image.labels
    prefix = "org.apache.airflow."
    missing = [f"{prefix}{name}" for name in _WANTED if not labels.get(f"{prefix}{name}")]
    expect(not missing, f"no label {', '.join(missing)}")
    python = ".".join(labels[f"{prefix}python.version"].split(".")[:2])
    expect(python == target.python, f"the label says Python {python}, not {target.python}")
    airflow = labels[f"{prefix}version"]
    expect(airflow == target.airflow, f"the label says Airflow {airflow}, not {target.airflow}")
    created = labels.get("org.opencontainers.image.created")
    if created:
        datetime.fromisoformat(created)


@PROD
def test_no_compiler_is_left(files: list[File]) -> None:
    found = [f"/{file.path}" for file in files if _COMPILERS.search(file.path)]
    expect(not found, f"compilers: {', '.join(found[:5])}")


@PROD
def test_no_cache_of_packages_is_left(files: list[File]) -> None:
    found = [f"/{file.path}" for file in files if not file.folder and _CACHES.match(file.path)]
    expect(not found, f"caches: {', '.join(found[:5])}")


@PROD
def test_no_bytecode_of_build_tools_is_left(files: list[File]) -> None:
    found = [f"/{file.path}" for file in files if _BUILD_TOOLS.search(f"/{file.path}")]
    expect(not found, f"bytecode: {', '.join(found[:3])}")


def test_no_secret_is_in_it(target: Target, containers: Containers, files: list[File]) -> None:
    found = [
        f"/{file.path}"
        for file in files
        if (file.key and not _PUBLISHED.search(file.path))
        or (not file.folder and _SECRETS.search(file.path))
    ]
    expect(not found, f"secrets: {', '.join(found[:5])}")
    named = [entry.partition("=")[0] for entry in target.image.config.get("Env") or []]
    history = containers.docker(
        "history", "--no-trunc", "--format", "{{.CreatedBy}}", target.image.reference
    ).stdout
    named += re.findall(r"(?:ARG |ENV |[|]\d+ (?:\S+=\S* )*?)([A-Za-z_][A-Za-z0-9_]*)=", history)
    bad = sorted({name for name in named if is_secret_name(name)})
    expect(not bad, f"the image's environment or history has {', '.join(bad)}")


def test_it_is_within_its_budget(target: Target, containers: Containers) -> None:
    history = containers.docker(
        *("history", "--no-trunc", "--human=false", "--format", "{{json .}}"),
        target.image.reference,
    ).stdout
    layers = [json.loads(line) for line in history.splitlines()]
    sizes = sorted(((int(one["Size"]), one["CreatedBy"]) for one in layers), reverse=True)
    total = sum(size for size, _ in sizes) / 1e6
    largest = "".join(
        f"\n  {size / 1e6:7.0f} MB  {' '.join(text.split())[:100]}" for size, text in sizes[:5]
    )
    expect(
        not target.budget or total <= target.budget,
        f"the image has {total:.0f} MB, its budget is {target.budget} MB; the largest layers:"
        f"{largest}",
    )
