"""The architecture: seven layers, and one rule for each."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "build_tasks"

#: The layers, from the bottom up: a name, its packages, and its rule. A package imports from lower
#: layers, and from packages of its own layer that stand before it.
LAYERS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("ground", ("text", "errors", "console", "paths", "process"), "knows nothing of images"),
    ("inputs", ("engine", "inputs"), "what goes into a build; the engine knows nothing of Airflow"),
    ("data", ("model", "config", "history"), "frozen values, parsed at the edge"),
    (
        "driver",
        ("constraints", "buildx", "builders", "progress"),
        "all command lines of docker and buildx; knows no feature",
    ),
    ("plan", ("plan",), "options, settings and the machine become builds; nothing starts"),
    (
        "features",
        ("check", "publish", "report", "run", "storage", "verify", "batch"),
        "know no other feature; batch runs the jobs of the others",
    ),
    ("front", ("commands", "front"), "parses, calls one function, maps one exception"),
)
LAYER_OF = {name: number for number, (_, names, _) in enumerate(LAYERS) for name in names}
PACKAGES = [name for _, names, _ in LAYERS for name in names]


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE).with_suffix("")).replace("/", ".")


def may_import(importer: str, imported: str) -> bool:
    """Return whether a package may import from another one."""
    if LAYER_OF[importer] != LAYER_OF[imported]:
        return LAYER_OF[imported] < LAYER_OF[importer]
    if LAYERS[LAYER_OF[importer]][0] == "features" and importer != "batch":
        return False
    return PACKAGES.index(imported) < PACKAGES.index(importer)


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
def test_a_package_imports_from_below(path: Path) -> None:
    own = package_of(path)
    for name in imports(path):
        if name.startswith("build_tasks."):
            other = name.split(".")[1]
            assert other == own or may_import(own, other), f"{own} imports {other}"


def test_every_package_has_a_layer() -> None:
    assert {package_of(path) for path in MODULES} == set(PACKAGES)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_front_layer_imports_nox_and_invoke(path: Path) -> None:
    front_ends = {"nox", "invoke", "noxfile", "tasks"}
    found = {name.split(".")[0] for name in imports(path)} & front_ends
    assert package_of(path) == "front" or not found


def test_the_driver_knows_no_display() -> None:
    """It tells one listener; displays are listeners."""
    displays = ("build_tasks.progress", "build_tasks.console", "rich")
    guilty = {
        name_of(path)
        for path in MODULES
        if package_of(path) in {"buildx", "history"}
        and any(name.startswith(displays) for name in imports(path))
    }
    assert not guilty


def test_only_process_starts_programs() -> None:
    starters = {"subprocess", "pty", "multiprocessing"}
    guilty = {
        package_of(path)
        for path in MODULES
        if starters & {name.split(".")[0] for name in imports(path)}
        or re.search(r"os\.(system|popen|fork|exec|spawn|posix_spawn)", path.read_text())
    }
    assert guilty == {"process"}


def test_only_git_starts_git() -> None:
    quoted = re.compile(r"""["']git["'],""")
    guilty = {name_of(path) for path in MODULES if quoted.search(path.read_text())}
    assert guilty == {"inputs.git"}


def test_only_the_client_names_a_builder_to_buildx() -> None:
    """An engine's own builder has the name of its docker context: nobody else may spell it."""
    guilty = {
        name_of(path)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Tuple | ast.List)
        and any(isinstance(one, ast.Constant) and one.value == "--builder" for one in node.elts)
    }
    assert guilty == {"buildx.toolchain"}


def test_only_the_driver_makes_command_lines_of_docker_and_buildx() -> None:
    """Everything else calls a function of buildx/; the engine starts its own daemon."""
    makes = re.compile(
        r"\bclient\.(buildx|docker)\b|\.(buildx|docker),|\([\"']docker(-buildx)?[\"'],"
    )
    guilty = {
        package_of(path) for path in MODULES if makes.search(path.read_text(encoding="utf-8"))
    }
    assert guilty <= {"buildx", "engine"}


def test_no_module_imports_itself_through_others() -> None:
    """Not even from inside a function."""
    graph = {
        f"build_tasks.{name_of(path).removesuffix('.__init__')}": imports(path) for path in MODULES
    }
    for name, imported in graph.items():
        parents = {one.rpartition(".")[0] for one in imported}
        graph[name] = (imported | parents) & graph.keys() - {name}
    TopologicalSorter(graph).prepare()


def test_functions_are_short_and_import_little() -> None:
    """Imports inside functions are for heavy libraries, and for what few commands need."""
    lazy = 0
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                assert lines <= 60, f"{name_of(path)}.{node.name} has {lines} lines"
                lazy += sum(isinstance(one, ast.Import | ast.ImportFrom) for one in ast.walk(node))
    assert lazy <= 18


def test_images_of_registries_are_read_in_one_module() -> None:
    """It decides what "not found" means; the engine asks once whether Docker Hub answers."""
    asks = re.compile(r"""["']imagetools["'],\s*["']inspect["']""")
    guilty = {name_of(path) for path in MODULES if asks.search(path.read_text(encoding="utf-8"))}
    assert guilty == {"buildx.imagetools", "engine.lifecycle"}


def test_only_the_console_writes_to_stdout_and_stderr() -> None:
    """What is foreign is made safe there, and a stream that cannot be written is no traceback."""
    guilty = {
        name_of(path)
        for path in MODULES
        if re.search(r"^\s+print\(|sys\.(__)?std(out|err)\b", path.read_text(), re.MULTILINE)
    }
    # One saves images to stdout, one hands it to pytest, and three have scripts for containers.
    checks = {f"verify.checks.test_{name}" for name in ("airflow", "compose", "runtime")}
    assert guilty == {"console", "verify.archive", "verify.suite", *checks}


def test_front_ends_do_not_know_each_other() -> None:
    assert not {
        name for name in imports(ROOT / "noxfile.py") if name.startswith(("tasks", "invoke"))
    }
    assert not {name for name in imports(ROOT / "tasks.py") if name.startswith(("nox",))}


def has_functions(path: Path) -> bool:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef) for node in ast.walk(tree))


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=name_of)
def test_a_module_is_tested_by_its_name(path: Path) -> None:
    """Those of image.verify are tests themselves; a package's own module has the package's name."""
    place = path.relative_to(PACKAGE)
    if place.is_relative_to("verify/checks") or not has_functions(path):
        return
    name = place.parent.name if path.stem == "__init__" else path.stem
    assert (ROOT / "tests" / "unit" / place.parent / f"test_{name}.py").exists()


def test_a_unit_test_cannot_start_a_program() -> None:
    with pytest.raises(pytest.fail.Exception):
        subprocess.run(["/bin/true"], check=False)


def test_the_noxfile_asks_for_what_the_project_needs() -> None:
    """The inline metadata makes nox's own environment; the tests' tools stay out."""
    text = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    block = re.search(r"# /// script\n(.*?)# ///", text, re.DOTALL)
    assert block
    inline = tomllib.loads("\n".join(line[2:] for line in block[1].splitlines()))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert inline["requires-python"] == project["requires-python"]
    assert set(inline["dependencies"]) == set(project["dependencies"])
