"""Thirty commits of a checkout of Airflow, and the steps that each of them repeats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from checkout_project import EDIT, FILES, INSTALL, Project

#: The files in their first layer are taken anew; the other one is empty, as in the first build.
ANEW = FILES - {"changed-files 1/1"}
NONE: frozenset[str] = frozenset()
_CORE = "airflow-core/src/airflow"
_SDK = "task-sdk/src/airflow/sdk"
_SQLITE = "providers/sqlite"
_COMPAT = "providers/common/compat/src/airflow/providers/common/compat"
_DEMO = "providers/demo"
_DEMO_PACKAGE = f"{_DEMO}/src/airflow/providers/demo/__init__.py"
_SELECTED = "distributions = [\n"
_DEMO_PROJECT = """\
[build-system]
requires = ["flit_core==3.12.0"]
build-backend = "flit_core.buildapi"
[project]
name = "apache-airflow-providers-demo"
version = "1.0.0"
description = "a new member"
dependencies = ["apache-airflow-core"]
[tool.flit.module]
name = "airflow.providers.demo"
"""


@dataclass(frozen=True)
class Commit:
    """What somebody commits.

    Args:
        name: what it is.
        steps: those that a build of it repeats.
        edits: the text to replace in a file, and the new one; ("", TEXT) appends.
        files: new files; a link if the text begins with an arrow.
        gone: files that are removed.
        moves: the new paths of files and folders.
        modes: of files.
        reverts: the number of the commit that it takes back, counted back from the last.
        below: a folder, of whose Python files each gets a new line.
        settings: the text to replace in images.toml, and the new one.
    """

    name: str
    steps: frozenset[str]
    edits: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    moves: Mapping[str, str] = field(default_factory=dict)
    modes: Mapping[str, int] = field(default_factory=dict)
    reverts: int = 0
    below: str = ""
    settings: tuple[str, str] = ("", "")

    def apply(self, project: Project) -> None:
        """Commit it."""
        if self.reverts:
            project.git("revert", "--no-edit", f"HEAD~{self.reverts - 1}")
            return
        for path, (old, new) in self.edits.items():
            project.edit(path, old, new)
        for path, text in self.files.items():
            file = project.tree / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if text.startswith("-> "):
                file.symlink_to(text.removeprefix("-> "))
            else:
                file.write_text(text)
        for path in self.gone:
            project.git("rm", "-r", "--quiet", path)
        for old, new in self.moves.items():
            project.git("mv", old, new)
        for path, mode in self.modes.items():
            (project.tree / path).chmod(mode)
        for file in (project.tree / self.below).rglob("*.py") if self.below else ():
            file.write_text(f"{file.read_text()}# edited\n")
        settings = project.suite.root / "images.toml"
        settings.write_text(settings.read_text().replace(*self.settings, 1))
        project.git("add", "--all")
        project.git("commit", "--quiet", "--allow-empty", "--message", self.name)


def _appended(path: str, text: str = "# edited\n") -> dict[str, tuple[str, str]]:
    return {path: ("", text)}


COMMITS = (
    Commit("a module of the task SDK", EDIT, _appended(f"{_SDK}/definitions/macros.py")),
    Commit("a module of the core", EDIT, _appended(f"{_CORE}/settings.py")),
    Commit("a new module", EDIT, files={f"{_CORE}/utils/new.py": "NEW = 1\n"}),
    Commit("a mode", EDIT, modes={f"{_CORE}/utils/dates.py": 0o755}),
    Commit(
        "a new requirement",
        INSTALL,
        {"devel-common/pyproject.toml": ('"jmespath', '"toposort==1.10", "jmespath')},
    ),
    Commit("it is taken back", NONE, reverts=1),
    Commit("the new module is gone", EDIT, gone=(f"{_CORE}/utils/new.py",)),
    Commit("a test", EDIT, _appended("task-sdk/tests/task_sdk/definitions/test_macros.py")),
    Commit(
        "a module is renamed",
        ANEW,
        moves={f"{_COMPAT}/check.py": f"{_COMPAT}/checks.py"},
    ),
    Commit("a readme", EDIT, _appended("task-sdk/README.md", "edited\n")),
    Commit("a module is removed", ANEW, gone=(f"{_COMPAT}/checks.py",)),
    Commit("it is taken back", EDIT, reverts=1),
    Commit(
        "a tighter bound",
        INSTALL,
        {"devel-common/pyproject.toml": ('"jmespath>=0.7.0"', '"jmespath>=0.7.0,<1.1"')},
    ),
    Commit(
        "two modules",
        EDIT,
        _appended(f"{_CORE}/sentry.py") | _appended(f"{_CORE}/plugins_manager.py"),
    ),
    Commit("a comment beside dependencies", INSTALL, _appended(f"{_SQLITE}/pyproject.toml")),
    Commit(
        "a version",
        INSTALL,
        {
            f"{_SQLITE}/pyproject.toml": ('version = "4.1.0"', 'version = "4.1.1"'),
            f"{_SQLITE}/src/airflow/providers/sqlite/__init__.py": ('"4.1.0"', '"4.1.1"'),
        },
    ),
    Commit(
        "an entry point",
        INSTALL,
        _appended(
            f"{_SQLITE}/pyproject.toml", '[project.scripts]\nsqlite-demo = "airflow.version:str"\n'
        ),
    ),
    Commit("a revert of four ago", EDIT, reverts=4),
    Commit("a folder is renamed", ANEW, moves={"task-sdk/dev": "task-sdk/scripts"}),
    Commit("a mode is as before", EDIT, modes={f"{_CORE}/utils/dates.py": 0o644}),
    Commit(
        "a new provider",
        INSTALL,
        {
            "pyproject.toml": (
                '    "providers/airbyte",',
                '    "providers/airbyte",\n    "providers/demo",',
            )
        },
        {f"{_DEMO}/pyproject.toml": _DEMO_PROJECT, _DEMO_PACKAGE: '"""New."""\n'},
        settings=(_SELECTED, f'{_SELECTED}    "apache-airflow-providers-demo",\n'),
    ),
    Commit("a module of it", EDIT, _appended(_DEMO_PACKAGE)),
    Commit(
        "it is gone",
        NONE,
        {"pyproject.toml": ('\n    "providers/demo",', "")},
        gone=(_DEMO,),
        settings=('    "apache-airflow-providers-demo",\n', ""),
    ),
    Commit("a link", EDIT, files={"task-sdk/AUTHORS": "-> README.md"}),
    Commit(
        "a new requirement",
        INSTALL,
        {
            "providers/standard/pyproject.toml": (
                "dependencies = [",
                'dependencies = [\n    "toposort",',
            )
        },
    ),
    Commit("it is taken back", NONE, reverts=1),
    Commit("a hook of a build", INSTALL, _appended("airflow-core/hatch_build.py")),
    Commit("every module of the core", ANEW, below="airflow-core/src"),
    Commit("it is taken back", ANEW, reverts=1),
    Commit(
        "a module of a provider",
        EDIT,
        _appended(f"{_SQLITE}/src/airflow/providers/sqlite/hooks/sqlite.py"),
    ),
)
