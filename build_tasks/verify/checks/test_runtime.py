"""What providers need at run time is there: the clients that they use, and their libraries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from build_tasks import paths
from build_tasks.buildx.containers import Containers
from build_tasks.verify.fixtures import Packages
from build_tasks.verify.plugin import CONTRACT, expect, expect_success

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
#: Lists the libraries that shared objects need and ldd does not find. What stands beside a shared
#: object is loaded by the one that needs both, as auditwheel arranges it.
_RESOLVE = """
import json, subprocess, sysconfig
from pathlib import Path
files = []
for file in Path(sysconfig.get_path("purelib")).rglob("*.so*"):
    if file.is_file() and not file.is_symlink():
        with file.open("rb") as content:
            if content.read(4) == b"\\x7fELF":
                files.append(str(file))
missing = []
for start in range(0, len(files), 50):
    some = files[start : start + 50]
    done, file = subprocess.run(["ldd", *some], capture_output=True, text=True), some[0]
    for line in done.stdout.splitlines():
        if not line[:1].isspace():
            file = line.rstrip(":")
        elif line.endswith("=> not found"):
            library = line.split()[0]
            if not (Path(file).parent / library).exists():
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


def test_the_libraries_of_every_shared_object_are_there(containers: Containers) -> None:
    completed = containers.python(_RESOLVE)
    expect_success(completed, "the shared objects cannot be examined")
    _expect_resolved(*json.loads(completed.stdout.rpartition("RESULT ")[2]))


def _modules(packages: Packages) -> list[str]:
    """Return the modules that installed distributions have to have."""
    return [
        module
        for name, modules in NEEDS["modules"].items()
        if canonicalize_name(name) in packages.distributions
        for module in modules
    ]


def _expect_resolved(number: int, missing: list[tuple[str, str]]) -> None:
    wrong = [(name, file) for name, file in missing if name not in NEEDS["libraries"]]
    names = ", ".join(sorted({f"{name} (for {file})" for name, file in wrong})[:5])
    message = f"{len(wrong)} libraries of {number} shared objects are missing: {names}"
    hint = "name the Debian packages in dependencies.apt-runtime"
    expect(not wrong, f"{message}: {hint}")
