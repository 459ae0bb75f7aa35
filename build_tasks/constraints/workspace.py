"""The distributions in a checkout of Airflow, from their pyproject.toml files alone.

Only metadata is read: what a distribution is called, what it requires, and what its build backend
reads to install it editable. So an edited module changes nothing here.
"""

from __future__ import annotations

import ast
import posixpath
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
        if "optional-dependencies" in self.dynamic:
            return None
        return _table(self.project, "optional-dependencies")

    @property
    def classifiers(self) -> Sequence[str]:
        """The classifiers."""
        return _texts(self.project.get("classifiers"))

    @property
    def dynamic(self) -> Sequence[str]:
        """The fields of the table `project` that the build backend makes."""
        return _texts(self.project.get("dynamic"))


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

    Its members are those that its pyproject.toml lists for uv and does not exclude, else those in
    the folders where Airflow has them; and the root itself, if it is a distribution.

    Raises:
        UsageError: a pyproject.toml cannot be read, a member is elsewhere, or two distributions
            have one name.
    """
    top = _content(root / _FILE) if (root / _FILE).is_file() else {}
    table = _table(_table(_table(top, "tool"), "uv"), "workspace")
    listed = isinstance(table.get("members"), list)
    patterns = _texts(table.get("members")) if listed else LAYOUT
    excluded = {*_members(root, _texts(table.get("exclude")))} - {""}
    found: dict[str, Distribution] = {}
    for folder in dict.fromkeys(["", *_members(root, patterns)]):
        if folder in excluded:
            continue
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
        for folder in map(_clean, patterns if listed else ())
        if not _is_pattern(folder)
        and folder not in excluded
        and not (root / folder / _FILE).is_file()
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
        reason = _line(error.args[0] if error.args else error)
        raise UsageError(f"{distribution.file}: dependency-groups.{group}: {reason}") from None


def metadata_files(root: Path, chosen: Iterable[Distribution]) -> dict[str, bytes]:
    """Return what build backends read to install distributions editable, by path.

    A pyproject.toml and what a hook reads are as they are. The file with the version has that line
    alone, and others that must exist (a readme, a license, the package itself) are empty, so that
    no edit of them changes anything.

    Raises:
        UsageError: a file cannot be read, or is not in the checkout.
    """
    files: dict[str, bytes] = {}
    for distribution in chosen:
        for name, content in _metadata(root, distribution).items():
            files.setdefault(_path(distribution, name), content)
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


def _metadata(root: Path, distribution: Distribution) -> dict[str, bytes]:
    """Return the files of one distribution, by their paths in its folder."""
    folder, tool = root / distribution.folder, _table(distribution.content, "tool")
    files: dict[str, bytes] = {}
    whole = [_FILE, *_BUILD_FILES, *_hooks(tool)]
    if {"dependencies", "optional-dependencies"} & {*distribution.dynamic}:
        whole += [f"{_GENERATED}/{file.name}" for file in sorted((folder / _GENERATED).glob("*"))]
    for name in dict.fromkeys(map(_clean, whole)):
        if (folder / name).is_file():
            files[name] = _bytes(_file(root, distribution, name))
    for name in _versioned(folder, tool, distribution):
        files.setdefault(name, _version_lines(_file(root, distribution, name)))
    for name in (*_documents(folder, distribution), *_packages(folder, tool, distribution)):
        files.setdefault(name, b"")
    return files


def _file(root: Path, distribution: Distribution, name: str) -> Path:
    """Return a file whose content a build gets: neither its path nor a link leads out."""
    file = root / _path(distribution, name)
    if not file.resolve().is_relative_to(root.resolve()):
        raise _elsewhere(distribution.file, name)
    return file


def _path(distribution: Distribution, name: str) -> str:
    """Return the path in the checkout of a file that a distribution names."""
    return _inside(posixpath.join(distribution.folder, name), distribution.file, name)


def _inside(path: str, place: str, name: str) -> str:
    """Return a path in the checkout without `..`, or raise UsageError if it leads out of it."""
    path = posixpath.normpath(path) if path else ""
    if path.startswith(("/", "../")) or path == ".." or "\0" in path:
        raise _elsewhere(place, name)
    return "" if path == "." else path


def _elsewhere(place: str, name: str) -> UsageError:
    return UsageError(f"{place}: {name!r} is not in the checkout")


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
    if "flit" in tool or {"version", "description"} & {*distribution.dynamic}:
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
    for package in _texts(wheel.get("packages")) or (f"src/{name}", name):
        if (folder / package).is_dir():
            yield posixpath.join(_clean(package), "__init__.py")


def _documents(folder: Path, distribution: Distribution) -> Iterator[str]:
    """Yield the readme and the license files."""
    project = distribution.project
    readme, license_ = project.get("readme"), project.get("license")
    for value in (readme, license_):
        name = value.get("file") if isinstance(value, dict) else value if value is readme else None
        if not isinstance(name, str) or (folder / name).is_dir():
            continue
        if (folder / name).parent.is_dir():
            yield _clean(name)
    patterns = project.get("license-files")
    if isinstance(patterns, dict):  # before PEP 639
        patterns = [*_texts(patterns.get("globs")), *_texts(patterns.get("paths"))]
    place = f"{distribution.file}: license-files"
    for pattern in _texts(patterns):
        for file in _glob(folder, pattern, place):
            if file.is_file():
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
    for text in _texts(texts):
        yield Wanted(place, text)


def _requirement(wanted: Wanted) -> Requirement:
    try:
        return parse_requirement(wanted.text)
    except ValueError as error:
        raise UsageError(f"{wanted.place}: {wanted.text!r}: {_line(error)}") from None


def _members(root: Path, patterns: Iterable[str]) -> Iterator[str]:
    """Yield the folders of members that patterns of uv name."""
    place = f"{root / _FILE}: tool.uv.workspace"
    for pattern in patterns:
        if not _is_pattern(pattern):
            yield _inside(pattern, place, pattern)
            continue
        for folder in _glob(root, pattern, place):
            if folder.is_dir():
                yield _inside(folder.relative_to(root).as_posix(), place, pattern)


def _glob(folder: Path, pattern: str, place: str) -> list[Path]:
    """Return what matches a pattern in a folder, or raise UsageError if it is none."""
    try:
        return sorted(folder.glob(_clean(pattern)))
    except (ValueError, NotImplementedError) as error:
        raise UsageError(f"{place}: {pattern!r}: {error}") from None


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


def _line(error: object) -> str:
    """Return the first line of an error, which may show a text and point to a place in it."""
    return str(error).partition("\n")[0]


def _texts(value: object) -> Sequence[str]:
    """Return the texts in an array, none if it is no array."""
    items = value if isinstance(value, list | tuple) else ()
    return [text for text in items if isinstance(text, str)]


def _table(content: Table, key: str) -> Table:
    value = content.get(key)
    return value if isinstance(value, dict) else {}
