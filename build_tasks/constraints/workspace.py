"""The distributions in a checkout of Airflow, from their pyproject.toml files alone.

Only metadata is read: what a distribution is called, what it requires, and what its build backend
reads to install it editable. So an edited module changes nothing here.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from build_tasks import paths
from build_tasks.config.parsing import parse_requirement
from build_tasks.constraints.constraint_files import normalize
from build_tasks.errors import UsageError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

#: The folders of distributions where no pyproject.toml lists the members of a workspace, as the
#: sources of Airflow 3 have them; Airflow 2 is one distribution.
LAYOUT = (
    *("airflow-core", "task-sdk", "airflow-ctl", "devel-common"),
    *("shared/*", "providers/*", "providers/*/*"),
)
_FILE = "pyproject.toml"
#: Files that build backends read without being told so; `generated` has what the hook of Airflow 2
#: makes the requirements of.
_BUILD_FILES = ("setup.py", "setup.cfg", "hatch_build.py")
_GENERATED = "generated"
#: The line with the version, as hatchling and flit look for it.
_VERSION = re.compile(
    r"""^(?:__version__|version)\b[^=\n]*=\s*["']([^"'\n]+)["'].*$""", re.IGNORECASE | re.MULTILINE
)

#: A parsed pyproject.toml, or a table of it.
Table = Mapping[str, Any]


class Wanted(NamedTuple):
    """A requirement, and its place, like `task-sdk/pyproject.toml: dependency-groups.dev`."""

    place: str
    text: str


@dataclass(frozen=True)
class Distribution:
    """A distribution of a checkout.

    Args:
        name: its name, as PyPI normalizes names.
        folder: its folder in the checkout, with slashes; empty for the root.
        content: its pyproject.toml.
    """

    name: str
    folder: str
    content: Table = field(repr=False)

    @property
    def file(self) -> str:
        """The path of its pyproject.toml in the checkout."""
        return self.path(_FILE)

    def path(self, name: str) -> str:
        """Return the path in the checkout of one of its files."""
        return f"{self.folder}/{name}" if self.folder else name

    @property
    def project(self) -> Table:
        """The table `project`."""
        return _table(self.content, "project")

    @property
    def groups(self) -> Table:
        """The dependency groups (PEP 735)."""
        return _table(self.content, "dependency-groups")

    @property
    def extras(self) -> Table | None:
        """The extras with their requirements, None if the build backend makes them."""
        if "optional-dependencies" in self.project.get("dynamic", ()):
            return None
        return _table(self.project, "optional-dependencies")


@dataclass(frozen=True)
class Workspace:
    """The distributions of a checkout.

    Args:
        root: its folder.
        distributions: those that it has, by name.
        missing: folders that it lists as members and that are not there.
    """

    root: Path
    distributions: Mapping[str, Distribution]
    missing: tuple[str, ...] = ()

    def find(self, name: str) -> Distribution | None:
        """Return the distribution with a name, or in a folder; None if there is none."""
        folders = {item.folder: item for item in self.distributions.values()}
        return self.distributions.get(normalize(name)) or folders.get(name.strip("/"))


def read(root: Path) -> Workspace:
    """Return the distributions of a checkout.

    Its members are those that its pyproject.toml lists for uv, else those in the folders where
    Airflow has them, and the root itself, if it is a distribution.

    Raises:
        UsageError: a pyproject.toml cannot be read, or two distributions have one name.
    """
    top = _content(root / _FILE) if (root / _FILE).is_file() else {}
    listed = _table(_table(_table(top, "tool"), "uv"), "workspace").get("members")
    patterns = listed if isinstance(listed, list) else LAYOUT
    folders = dict.fromkeys(["", *itertools.chain(*(_folders(root, each) for each in patterns))])
    found: dict[str, Distribution] = {}
    for folder in folders:
        file = root / folder / _FILE
        if not file.is_file():
            continue
        content = _content(file) if folder else top
        name = _table(content, "project").get("name")
        if not isinstance(name, str):
            continue
        distribution = Distribution(normalize(name), folder, content)
        if other := found.get(distribution.name):
            raise UsageError(f"{root / distribution.file}: {name} is in {root / other.file}, too")
        found[distribution.name] = distribution
    missing = [
        folder
        for folder in map(_clean, patterns if isinstance(listed, list) else ())
        if not _is_pattern(folder) and not (root / folder / _FILE).is_file()
    ]
    return Workspace(root, found, tuple(missing))


def requirements(
    chosen: Mapping[str, Distribution],
    groups: Iterable[tuple[Distribution, str]] = (),
    extras: Iterable[tuple[Distribution, str]] = (),
) -> list[Wanted]:
    """Return what distributions require, each requirement with its place.

    Requirements of their groups and extras are followed through the chosen distributions: an extra
    that one asks of another adds that one's requirements. Those that only a build backend knows
    (`dynamic`) are not among them.

    Args:
        chosen: the distributions, by name.
        groups: dependency groups, each with its distribution.
        extras: extras, each with its distribution.

    Raises:
        UsageError: a group includes one that does not exist, or itself; or a requirement is none.
    """
    found: dict[Wanted, None] = {}
    pending = [*extras]
    followed = set()
    for distribution in chosen.values():
        place = f"{distribution.file}: dependencies"
        found |= dict.fromkeys(_wanted(place, distribution.project.get("dependencies", ())))
    for distribution, group in groups:
        place = f"{distribution.file}: dependency-groups.{group}"
        found |= dict.fromkeys(_wanted(place, group_requirements(distribution, group)))
    queue = [*found]
    while queue or pending:
        for distribution, extra in pending:
            if (distribution.name, extra) in followed:
                continue
            followed.add((distribution.name, extra))
            table = {normalize(name): each for name, each in (distribution.extras or {}).items()}
            place = f"{distribution.file}: optional-dependencies.{extra}"
            added = [each for each in _wanted(place, table.get(extra, ())) if each not in found]
            found |= dict.fromkeys(added)
            queue += added
        pending = []
        for wanted in queue:
            requirement = _requirement(wanted)
            if other := chosen.get(normalize(requirement.name)):
                pending += [(other, normalize(extra)) for extra in sorted(requirement.extras)]
        queue = []
    return [*found]


def group_requirements(distribution: Distribution, group: str) -> tuple[str, ...]:
    """Return the requirements of a dependency group with those of the groups that it includes.

    Raises:
        UsageError: it includes a group that does not exist, or itself.
    """
    from dependency_groups import resolve  # noqa: PLC0415 - start-up time

    try:
        return resolve(distribution.groups, group)
    except (LookupError, TypeError, ValueError) as error:
        reason = str(error.args[0] if error.args else error)
        raise UsageError(f"{distribution.file}: dependency-groups.{group}: {reason}") from None


def metadata_files(root: Path, chosen: Iterable[Distribution]) -> dict[str, bytes]:
    """Return what build backends read to install distributions editable, by path.

    A pyproject.toml and what a hook reads are as they are. The file with the version has that line
    alone, and others that must exist (a readme, a license, the package itself) are empty, so that
    no edit of them changes anything.

    Raises:
        UsageError: a file cannot be read.
    """
    files: dict[str, bytes] = {}
    for distribution in chosen:
        folder = root / distribution.folder
        for name, content in _metadata(folder, distribution).items():
            files.setdefault(distribution.path(name), content)
    return files


def version(root: Path, distribution: Distribution) -> str:
    """Return the version of a distribution, empty if neither its files nor its metadata have it.

    Raises:
        UsageError: a file cannot be read.
    """
    known = distribution.project.get("version")
    if isinstance(known, str):
        return known
    tool, folder = _table(distribution.content, "tool"), root / distribution.folder
    for name in _versioned(folder, tool, distribution):
        if match := _VERSION.search(paths.read_text(folder / name)):
            return match[1]
    return ""


def _metadata(folder: Path, distribution: Distribution) -> dict[str, bytes]:
    """Return the files of one distribution, by their paths in its folder."""
    project, tool = distribution.project, _table(distribution.content, "tool")
    dynamic = project.get("dynamic", ())
    files = {_FILE: _bytes(folder / _FILE)}
    whole = [*_BUILD_FILES, *_hooks(tool)]
    if {"dependencies", "optional-dependencies"} & set(dynamic):
        whole += [f"{_GENERATED}/{file.name}" for file in sorted((folder / _GENERATED).glob("*"))]
    for name in dict.fromkeys(map(_clean, whole)):
        if (folder / name).is_file():
            files[name] = _bytes(folder / name)
    for name in _versioned(folder, tool, distribution):
        files.setdefault(name, _version_lines(folder / name))
    for name in (*_documents(folder, project), *_packages(folder, tool, distribution)):
        files.setdefault(name, b"")
    return files


def _hooks(tool: Table) -> Iterator[str]:
    """Yield the files of hatchling's custom hooks and builders."""
    build = _table(_table(tool, "hatch"), "build")
    for table in (build, *_table(build, "targets").values()):
        if isinstance(table, dict):
            for custom in (_table(_table(table, "hooks"), "custom"), _table(table, "custom")):
                if isinstance(custom.get("path"), str):
                    yield custom["path"]
    path = _table(_table(build, "targets"), "custom").get("path")
    if isinstance(path, str):
        yield path


def _versioned(folder: Path, tool: Table, distribution: Distribution) -> Iterator[str]:
    """Yield the modules that have the version of a distribution, or its description."""
    path = _table(_table(tool, "hatch"), "version").get("path")
    if isinstance(path, str) and (folder / path).is_file():
        yield _clean(path)
    if "flit" in tool or {"version", "description"} & set(distribution.project.get("dynamic", ())):
        yield from _flit_module(folder, tool, distribution)


def _flit_module(folder: Path, tool: Table, distribution: Distribution) -> Iterator[str]:
    """Yield the file of flit's module."""
    name = _table(_table(tool, "flit"), "module").get("name") or distribution.name.replace("-", "_")
    path = str(name).replace(".", "/")
    for candidate in (f"src/{path}", path):
        if (folder / candidate).is_dir():
            yield f"{candidate}/__init__.py"
            return
        if (folder / f"{candidate}.py").is_file():
            yield f"{candidate}.py"
            return


def _packages(folder: Path, tool: Table, distribution: Distribution) -> Iterator[str]:
    """Yield a file in each package of hatchling, which adds the folders of packages to the path."""
    wheel = _table(_table(_table(_table(tool, "hatch"), "build"), "targets"), "wheel")
    name = distribution.name.replace("-", "_")
    packages = wheel.get("packages") or (f"src/{name}", name)
    for package in packages if isinstance(packages, Sequence) else ():
        if (folder / str(package)).is_dir():
            yield f"{_clean(str(package))}/__init__.py"


def _documents(folder: Path, project: Table) -> Iterator[str]:
    """Yield the readme and the license files."""
    readme, license_ = project.get("readme"), project.get("license")
    for value in (readme, license_):
        name = value.get("file") if isinstance(value, dict) else value if value is readme else None
        if isinstance(name, str):
            yield _clean(name)
    patterns = project.get("license-files", ())
    if isinstance(patterns, dict):  # before PEP 639
        patterns = [*patterns.get("globs", ()), *patterns.get("paths", ())]
    for pattern in patterns if isinstance(patterns, list) else ():
        for file in sorted(folder.glob(_clean(str(pattern)))):
            yield file.relative_to(folder).as_posix()


def _version_lines(file: Path) -> bytes:
    """Return the description of a module and the line with its version, empty if it has none."""
    if not file.is_file():
        return b""
    text = paths.read_text(file)
    match = _VERSION.search(text)
    try:
        description = ast.get_docstring(ast.parse(text))
    except (SyntaxError, ValueError):
        description = None
    lines = [repr(description.partition("\n")[0])] if description else []
    return "".join(f"{line}\n" for line in (*lines, *([match[0]] if match else []))).encode()


def _wanted(place: str, texts: object) -> Iterator[Wanted]:
    for text in texts if isinstance(texts, Iterable) and not isinstance(texts, str) else ():
        if isinstance(text, str):
            yield Wanted(place, text)


def _requirement(wanted: Wanted) -> Requirement:
    try:
        return parse_requirement(wanted.text)
    except ValueError as error:
        raise UsageError(f"{wanted.place}: {wanted.text!r}: {error}") from None


def _folders(root: Path, pattern: object) -> Iterator[str]:
    """Yield the folders of members that a pattern of uv names."""
    text = _clean(str(pattern))
    if not _is_pattern(text):
        yield text
        return
    for folder in sorted(root.glob(text)):
        if folder.is_dir():
            yield folder.relative_to(root).as_posix()


def _is_pattern(text: str) -> bool:
    return any(character in text for character in "*?[")


def _clean(path: object) -> str:
    """Return a path without `./`; empty for the folder itself."""
    text = str(PurePosixPath(str(path)))
    return "" if text == "." else text


def _content(file: Path) -> Table:
    try:
        return paths.parse_toml(paths.read_text(file))
    except ValueError as error:
        raise UsageError(f"{file}: {error}") from None


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from None


def _table(content: Table, key: str) -> Table:
    value = content.get(key)
    return value if isinstance(value, dict) else {}
