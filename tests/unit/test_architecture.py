"""The arrows of the house: imports point downwards only, and one door leads outside."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "build_tasks"

# From the top floor to the ground; a module imports only from floors below its own.
FLOORS = (
    ("hook",),
    ("commands",),
    ("batch",),
    ("report", "skipping"),
    ("advice", "housekeeping", "images", "platforms", "workshop"),
    ("plan",),
    ("selection", "site"),
    ("archive",),
    ("capabilities", "verify"),
    ("cache_lookup", "merge", "references", "usage"),
    ("builders",),
    ("buildx", "pruning"),
    ("building",),
    ("attempt",),
    ("failures", "faults", "options", "client", "display"),
    ("contents", "outputs"),
    ("spec",),
    ("freshness",),
    ("figures",),
    ("digests",),
    ("installation", "labels", "policy"),
    ("constraints",),
    ("sources",),
    ("settings", "revision"),
    ("definition",),
    ("fleet",),
    ("drivers",),
    ("recording",),
    ("values",),
    ("explain",),
    ("dockerfile",),
    ("cache",),
    ("record",),
    ("matrix",),
    ("engine",),
    ("bake", "ca_bundle", "context", "plugin"),
    ("git",),
    ("api", "locks", "process", "places", "trust"),
    ("console",),
    ("errors",),
    ("escaping", "redaction", "startup"),
)
FLOOR = {room: -number for number, rooms in enumerate(FLOORS) for room in rooms}


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_run_downwards_only(path: Path) -> None:
    own = room_of(path)
    for name in imports(path):
        if name.startswith("build_tasks."):
            other = name.split(".")[1]
            assert other == own or FLOOR[other] < FLOOR[own], f"{own} imports {other}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_rooms_know_no_front_end(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & {
        "nox",
        "invoke",
        "noxfile",
        "tasks",
    }


def test_only_process_starts_programs() -> None:
    starters = {"subprocess", "pty", "multiprocessing"}
    guilty = {
        room_of(path)
        for path in MODULES
        if starters & {name.split(".")[0] for name in imports(path)}
        or re.search(r"os\.(system|popen|fork|exec|spawn|posix_spawn)", path.read_text())
    }
    assert guilty == {"process"}


def test_only_git_starts_git() -> None:
    guilty = {room_of(path) for path in MODULES if re.search(r"""["']git["'],""", path.read_text())}
    assert guilty == {"git"}


def test_only_the_client_names_a_builder_to_buildx() -> None:
    """An engine's own builder has the name of its docker context: nobody else may spell it."""
    guilty = {
        room_of(path)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Tuple | ast.List)
        and any(isinstance(one, ast.Constant) and one.value == "--builder" for one in node.elts)
    }
    assert guilty == {"bake", "client"}  # bake's command is told the name


def test_only_the_console_writes_to_stdout_and_stderr() -> None:
    """What is foreign is made safe there, and a stream that cannot be written is no traceback."""
    guilty = {
        room_of(path)
        for path in MODULES
        if re.search(r"^\s+print\(|sys\.(__)?std(out|err)\b", path.read_text(), re.MULTILINE)
    }
    # One saves images to stdout, the other hands it to pytest.
    assert guilty == {"archive", "console", "verify"}


def test_front_ends_do_not_know_each_other() -> None:
    assert not {
        name for name in imports(ROOT / "noxfile.py") if name.startswith(("tasks", "invoke"))
    }
    assert not {name for name in imports(ROOT / "tasks.py") if name.startswith(("nox",))}


def test_a_unit_test_cannot_start_a_program() -> None:
    with pytest.raises(pytest.fail.Exception):
        subprocess.run(["/bin/true"], check=False)


def test_the_noxfile_asks_for_what_the_project_needs() -> None:
    """The inline metadata makes nox's own environment; invoke and the tests' tools stay out."""
    text = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    block = re.search(r"# /// script\n(.*?)# ///", text, re.DOTALL)
    assert block
    inline = tomllib.loads("\n".join(line[2:] for line in block[1].splitlines()))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert inline["requires-python"] == project["requires-python"]
    needed = {item for item in project["dependencies"] if not item.startswith("invoke")}
    assert set(inline["dependencies"]) == needed
