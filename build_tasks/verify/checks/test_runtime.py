"""What is installed works at run time: clients of providers, additional packages, libraries."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from build_tasks import paths
from build_tasks.buildx.containers import Containers
from build_tasks.verify.fixtures import Packages
from build_tasks.verify.plugin import CONTRACT, FOREIGN, expect, expect_success
from build_tasks.verify.target import Target

pytestmark = CONTRACT

NEEDS: dict[str, Any] = paths.read_data(Path(__file__).parents[1] / "runtime.toml")
_IMPORT = """
import importlib, json, sys, warnings
warnings.simplefilter("ignore")
failed = {}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        failed[name] = f"{type(error).__name__}: {error}"
print("RESULT", json.dumps(failed))
"""
#: Imports the modules of distributions, those of each in a process of its own, so that one that
#: ends, hangs or changes the process is no other one's problem. They are the modules and packages
#: of its list of files that are in no other package of it, so those in namespaces, too.
_IMPORT_ALL = """
import importlib.metadata, json, os, subprocess, sys
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import all_suffixes
from pathlib import PurePosixPath
suffixes = sorted(all_suffixes(), key=len, reverse=True)
junk = {"test", "tests", "testing", "doc", "docs", "example", "examples", "benchmarks", "scripts"}
script = '''
import importlib, sys, warnings
warnings.simplefilter("ignore")
for name in sys.argv[1:]:
    importlib.import_module(name)
'''

def modules(name):
    found, files = set(), importlib.metadata.distribution(name).files or ()
    for file in files:
        path = PurePosixPath(str(file))
        suffix = next((suffix for suffix in suffixes if path.name.endswith(suffix)), "")
        parts = (*path.parts[:-1], path.name[: len(path.name) - len(suffix)])
        if suffix and (len(parts) == 1 or parts[-1] == "__init__"):
            found.add(parts[:-1] if parts[-1] == "__init__" else parts)
    found = {parts for parts in found if all(part.isidentifier() for part in parts)}
    top = {parts for parts in found if not any(parts[:end] in found for end in range(len(parts)))}
    public = {parts for parts in top if parts[0] not in junk and not parts[-1].startswith("_")}
    return sorted(".".join(parts) for parts in public or top if parts[0] not in junk)

def attempt(name):
    names = [module for module in modules(name) if module not in skipped]
    command = [sys.executable, "-c", script, *names]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=TIMEOUT, cwd="/",  # else a folder of DAGs is a package
        )
    except subprocess.TimeoutExpired:
        return names, "no end after TIMEOUT s"
    lines = done.stderr.strip().splitlines() or [f"it ends with {done.returncode}"]
    return names, lines[-1] if done.returncode else ""

skipped, *distributions = json.loads(sys.argv[1])
with ThreadPoolExecutor(os.cpu_count()) as pool:
    print("RESULT", json.dumps(dict(zip(distributions, pool.map(attempt, distributions)))))
""".replace("TIMEOUT", "240")
#: Lists the libraries that shared objects need and ldd does not find: of the environment, of what
#: `pip install --user` adds, and of all folders that Python imports from. A library in the same
#: folder, in the same distribution, or in one that this requires, is loaded before by the package
#: that needs both, as auditwheel arranges it. That of any other distribution is not: some have
#: copies of the system's libraries.
_RESOLVE = """
import functools, json, os, re, site, subprocess, sys, sysconfig
from importlib.metadata import distributions
from pathlib import Path

def plain(text):
    return re.sub("[-_.]+", "-", re.match("[A-Za-z0-9._-]*", text)[0]).lower()

owners, libraries, requirements = {}, {}, {}
for one in distributions():
    name = plain(one.metadata["Name"] or "")
    requirements.setdefault(name, set()).update(map(plain, one.requires or ()))
    for file in one.files or ():
        if ".so" in file.name:
            owners[os.path.realpath(one.locate_file(file))] = name
            libraries.setdefault(name, set()).add(file.name)

@functools.lru_cache(None)
def available(folder, owner):
    names = [owner]
    for name in names:
        names += [other for other in requirements.get(name, ()) if other not in names]
    return {*os.listdir(folder)}.union(*(libraries.get(name, ()) for name in names))

roots = {*sys.path[1:], sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
roots.add(os.path.join(site.getuserbase(), "lib"))
if sys.prefix != sys.base_prefix:
    roots.add(sys.prefix)
files = set()
for root in filter(os.path.isdir, roots):
    for file in Path(root).rglob("*.so*"):
        if file.is_file() and not file.is_symlink():
            with file.open("rb") as content:
                if content.read(4) == b"\\x7fELF":
                    files.add(str(file.resolve()))
files, missing = sorted(files), []
for start in range(0, len(files), 50):
    some = files[start : start + 50]
    done, file = subprocess.run(["ldd", *some], capture_output=True, text=True), some[0]
    for line in done.stdout.splitlines():
        if not line[:1].isspace():
            file = line.rstrip(":")
        elif line.endswith("=> not found"):
            library = line.split()[0]
            if library not in available(os.path.dirname(file), owners.get(file, "")):
                missing.append([library, file])
print("RESULT", json.dumps([len(files), missing]))
"""


def test_what_providers_use_can_be_imported(containers: Containers, packages: Packages) -> None:
    names = _modules(packages)
    options = ("--entrypoint", "python")
    completed = containers.run("-", *names, options=options, text=_IMPORT)
    expect_success(completed, "no module can be imported")
    failed: dict[str, str] = json.loads(completed.stdout.rpartition("RESULT ")[2])
    reasons = "; ".join(f"{name}: {error}" for name, error in failed.items())
    expect(not failed, f"{len(failed)} of {len(names)} modules cannot be imported: {reasons}")


@FOREIGN
def test_every_additional_package_is_imported(
    target: Target, containers: Containers, request: pytest.FixtureRequest
) -> None:
    if not target.additional:
        pytest.skip("there are no additional packages")
    packages: Packages = request.getfixturevalue("packages")  # needs Python
    names = _additional(target, packages)
    options = ("--entrypoint", "python")
    asked = json.dumps([[*NEEDS["unimportable"]], *names])
    completed = containers.run("-", asked, options=options, text=_IMPORT_ALL)
    expect_success(completed, "no package can be imported")
    _expect_imported(json.loads(completed.stdout.rpartition("RESULT ")[2]))


@FOREIGN
def test_the_libraries_of_every_shared_object_are_there(
    target: Target, containers: Containers
) -> None:
    completed = containers.python(_RESOLVE)
    if target.foreign and completed.returncode:
        pytest.skip("the image has no Python, or no ldd")
    expect_success(completed, "the shared objects cannot be examined")
    setting = "apt of the image" if target.own else "dependencies.apt-runtime"
    number, missing = json.loads(completed.stdout.rpartition("RESULT ")[2])
    _expect_resolved(number, missing, setting)


def _modules(packages: Packages) -> list[str]:
    """Return the modules that installed distributions have to have."""
    return [
        module
        for name, modules in NEEDS["modules"].items()
        if canonicalize_name(name) in packages.distributions
        for module in modules
    ]


def _additional(target: Target, packages: Packages) -> list[str]:
    """Return the installed distributions that the project asks for, by their names in the image."""
    wanted = map(Requirement, dict.fromkeys(target.additional))
    names = (
        canonicalize_name(requirement.name)
        for requirement in wanted
        if requirement.marker is None or requirement.marker.evaluate(packages.environment)
    )
    found = packages.distributions
    return [found[name]["name"] for name in dict.fromkeys(names) if name in found]


def _expect_imported(results: Mapping[str, tuple[Sequence[str], str]]) -> None:
    """Fail the check with a line for each package whose modules cannot be imported."""
    failed = [
        f"{name} (import {', '.join(modules)}): {error}"
        for name, (modules, error) in results.items()
        if error and not any(library in error for library in NEEDS["libraries"])
    ]
    message = f"{len(failed)} of {len(results)} additional packages cannot be imported"
    expect(not failed, "\n  ".join((f"{message}:", *failed)))


def _expect_resolved(number: int, missing: list[tuple[str, str]], setting: str) -> None:
    wrong = [(name, file) for name, file in missing if name not in NEEDS["libraries"]]
    names = ", ".join(sorted({f"{name} (for {file})" for name, file in wrong})[:5])
    message = f"{len(wrong)} libraries of {number} shared objects are missing: {names}"
    expect(not wrong, f"{message}: name the Debian packages in {setting}")
