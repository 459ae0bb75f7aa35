"""The image has its labels and bytecode, no tools, caches or secrets of a build."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable
from datetime import datetime

import pytest

from build_tasks.buildx import docker
from build_tasks.buildx.containers import Containers
from build_tasks.text.redaction import is_secret_name
from build_tasks.verify.inventory import File
from build_tasks.verify.plugin import FOREIGN, PROD, expect, expect_success, skip_if_arbitrary
from build_tasks.verify.target import Target

#: Leftovers of a build that no PROD image contains.
LEFTOVERS = {
    "compilers": re.compile(
        r"/s?bin/(?:[a-z0-9_]+-linux-gnu-)?"
        r"(?:gcc|g\+\+|cc|c\+\+|cpp|clang|clang\+\+|ld|as|make|cmake|ninja|rustc|cargo|go|gfortran)"
        r"(?:-[0-9.]+)?$"
    ),
    "caches": re.compile(
        r"^/(?:var/cache/apt/(?:archives/)?[^/]+\.(?:deb|bin)|var/lib/apt/lists/[^/]+_[^/]+|"
        r"var/cache/(?:pip|uv)/.+|root/\.cache/.+|home/[^/]+/\.cache/.+|tmp/.+)$"
    ),
}
SECRETS = re.compile(
    r"/(?:\.netrc|\.npmrc|\.pypirc|\.git-credentials|\.docker/config\.json|"
    r"id_(?:rsa|dsa|ecdsa|ed25519)|\.aws/credentials)$|^/run/secrets/.+"
)
#: Counts the modules, and those with bytecode.
_BYTECODE = """
import json, sysconfig
from importlib.util import cache_from_source
from pathlib import Path
skipped = {"site-packages", "dist-packages", "test", "tests", "lib2to3", "idlelib", "turtledemo"}
skipped.add("providers")  # other distributions, of which only two are compiled
counts = {}
library, environment = (Path(sysconfig.get_path(key)) for key in ("stdlib", "purelib"))
folders = {"standard library": library, "Airflow": environment / "airflow"}
for name, top in {**folders, "environment": environment}.items():
    modules = [
        file for file in top.rglob("*.py")
        if name == "environment" or not skipped & {*file.relative_to(top).parts}
    ]
    compiled = [file for file in modules if Path(cache_from_source(str(file))).exists()]
    counts[name] = len(modules), len(compiled)
print(json.dumps(counts))
"""
#: Packages contain published keys for their own tests.
_PUBLISHED = re.compile(r"/(?:site|dist)-packages/")
#: So does Airflow's repository.
_PUBLISHED_TOO = re.compile(rf"{_PUBLISHED.pattern}|^opt/airflow/")


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
def test_its_bytecode_is_what_was_asked_for(target: Target, containers: Containers) -> None:
    """Modules that do not compile, templates and tests of other versions, are one in a hundred."""
    if target.other_dockerfile:
        pytest.skip("the setting prod.bytecode is for another Dockerfile")
    options = ("--entrypoint", "python", "--env", "PYTHONDONTWRITEBYTECODE=1")
    completed = containers.run("-", options=options, text=_BYTECODE)
    expect_success(completed, "the bytecode cannot be listed")
    asked = target.bytecode
    wanted = {
        "standard library": asked != "none",
        "Airflow": asked in {"airflow", "all"},
        "environment": asked == "all",
    }
    counts = json.loads(completed.stdout)
    if target.own:  # what is installed on top has its own
        counts = {name: counts[name] for name, is_wanted in wanted.items() if is_wanted}
        counts.pop("environment", None)
    for name, (modules, compiled) in counts.items():
        enough = compiled >= modules * 0.98
        none = not compiled or name == "standard library" or asked == "airflow"
        message = f"prod.bytecode is {asked}, and {compiled} of {modules} modules have bytecode"
        expect(enough if wanted[name] else none, f"{name}: {message}")


@PROD
@pytest.mark.parametrize("kind", LEFTOVERS)
def test_nothing_of_a_build_is_left(target: Target, files: list[File], kind: str) -> None:
    skip_if_arbitrary(target)
    if kind == "compilers" and any(image.apt for image in target.own):
        pytest.skip("it has Debian packages that the project asks for")
    _expect_none(kind, (file.path for file in files if _matches(file, LEFTOVERS[kind])))


@FOREIGN
def test_no_secret_is_in_it(target: Target, files: list[File]) -> None:
    published = _PUBLISHED_TOO if target.checkout else _PUBLISHED
    keys = [file.path for file in files if file.key and not published.search(file.path)]
    _expect_none("secrets", [*keys, *(file.path for file in files if _matches(file, SECRETS))])
    history = docker.history(target.client, target.image.reference)
    steps = "\n".join(layer["CreatedBy"] for layer in history)
    names = [entry.partition("=")[0] for entry in target.image.config.get("Env") or []]
    names += re.findall(r"(?:ARG |ENV |[|]\d+ (?:\S+=\S* )*?)([A-Za-z_][A-Za-z0-9_]*)=", steps)
    bad = sorted({name for name in names if is_secret_name(name)})
    expect(not bad, f"the image's environment or history has {', '.join(bad)}")


@FOREIGN
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


def _expect_none(kind: str, paths: Iterable[str]) -> None:
    names = ", ".join(f"/{path}" for path in itertools.islice(paths, 5))
    expect(not names, f"{kind}: {names}")


def _matches(file: File, pattern: re.Pattern[str]) -> bool:
    return not file.folder and bool(pattern.search(f"/{file.path}"))
