"""The additional packages of the settings, with the files of packages that these name.

Requirement files have the format of pip: `-r`, `-c`, markers, hashes, comments, continued lines.
What a build could not follow is refused before it starts: paths, variables, options of the index.
uv reads the files, from copies without comments, so that another comment repeats no step.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from build_tasks import paths
from build_tasks.config import parsing
from build_tasks.config.settings import Settings
from build_tasks.errors import UsageError
from build_tasks.model.own_image import OwnImage
from build_tasks.text.redaction import redact

#: The build context with the files, which replaces a stage of this name.
CONTEXT = "requirement-files"
#: pip's option for a file in which each requirement has hashes.
_REQUIRE_HASHES = "--require-hashes"
_EDITABLE = ("-e", "--editable")
_COMMENT = re.compile(r"(?:^|\s)\s*#.*")
_OPTION = re.compile(r"\s+(?=--?[A-Za-z])")
_HASH = re.compile(r"--hash(?:=|\s+)(sha(?:256|384|512):[0-9a-f]{64,128})")
_VARIABLE = re.compile(r"\$\{\w+\}")
#: What uv does not take as a part of a file's name in a file.
_NO_NAME = re.compile(r"[#\\]|\$\{|^[\"']")
_ADDRESS = re.compile(r"[\w+.-]+://")
_PATH = re.compile(r"[^\s@\[]*/|\S*\.(?:whl|zip|tar\.gz)$|[^@]*@\s*(?:file:|\.{0,2}/)")


class Requirement(NamedTuple):
    """A requirement (PEP 508), or a line of a constraints file, and where it is."""

    place: str
    text: str


class _Line(NamedTuple):
    """One logical line of a file.

    Args:
        place: the file and the number of the line.
        text: the requirement, or the file of an option.
        option: `-r`, `-c`, `--require-hashes`, or "" for a requirement.
        hashes: the hashes of the requirement, as options.
    """

    place: str
    text: str
    option: str = ""
    hashes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, place: str, line: str) -> _Line:
        """Return what a line says.

        Raises:
            UsageError: a build cannot follow it.
        """
        if file_option := parsing.file_option(line):
            option, file = words(file_option)
            if _NO_NAME.search(file):
                raise UsageError(
                    f"{place}: {option} {file}: expected the name of a file, without quotes, "
                    "variables, '#' and '\\'"
                )
            return cls(place, file, option)
        if line == _REQUIRE_HASHES:
            return cls(place, "", line)
        if line.startswith("-"):
            option = re.split(r"[=\s]", line)[0]
            advice = (
                "an editable package is a folder, which is not in a build"
                if option in _EDITABLE
                else "what holds for all packages is set in images.toml ([index], [uv])"
            )
            raise UsageError(
                f"{place}: {option}: expected a requirement, `-r FILE` or `-c FILE`: {advice}"
            )
        text, *options = _OPTION.split(line)
        _refuse_unusable(text, place)
        parsing.requirement(text, place)
        hashes = [_HASH.fullmatch(option) for option in options]
        if None in hashes:
            wrong = redact(options[hashes.index(None)])
            raise UsageError(f"{place}: {wrong}: expected no option but --hash=sha256:...")
        return cls(place, text, "", tuple(f"--hash={match[1]}" for match in hashes if match))


@dataclass
class Dependencies:
    """The additional Python packages of the images of one Python.

    Args:
        root: the folder that the files are in.
        requirements: the requirements, without hashes.
        limits: the lines of constraints files.
        files: the text of each file for a build, by its path below the root.
    """

    root: Path
    requirements: list[Requirement] = field(default_factory=list)
    limits: list[Requirement] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    _included: set[tuple[str, bool]] = field(default_factory=set)

    def include(self, name: str, place: str, folder: str = "", *, constraints: bool) -> None:
        """Read a file of requirements or constraints, and those that it includes.

        Args:
            name: the file, relative to the folder.
            place: where it is named.
            folder: the folder of the file that names it.
            constraints: all in it are constraints, as uv reads it.

        Raises:
            UsageError: a file cannot be read, or has a line that a build cannot follow.
        """
        path, text = _read(self.root, posixpath.join(folder, name), place)
        if (path, constraints) in self._included:  # files may include each other
            return
        self._included.add((path, constraints))
        lines = [_Line.parse(f"{path}:{number}", line) for number, line in _lines(text)]
        _check_hashes(lines)
        copied = [line for line in lines if line.option != _REQUIRE_HASHES]
        self.files[path] = "".join(
            " ".join((line.option, line.text, *line.hashes)).strip() + "\n" for line in copied
        )
        for line in copied:
            if line.option:
                inner = constraints or line.option == "-c"
                self.include(line.text, line.place, posixpath.dirname(path), constraints=inner)
            else:
                target = self.limits if constraints else self.requirements
                target.append(Requirement(line.place, line.text))


@cache  # several steps of planning need them
def read(settings: Settings, python: str) -> Dependencies:
    """Return the additional Python packages, read and checked.

    Raises:
        UsageError: a file cannot be read, or has a line that a build cannot follow.
    """
    items, place = python_items(settings, python), settings.origins["dependencies.python"]
    return _dependencies(settings.project.root, items, place)


def own_requirements(settings: Settings, image: OwnImage, python: str) -> Dependencies:
    """Return the Python packages that an own image adds to its base, read and checked.

    Raises:
        UsageError: a file cannot be read, or has a line that a build cannot follow.
    """
    items, place = own_python_items(image, python), image.origins.get("python", image.name)
    return _dependencies(settings.project.root, items, place)


def python_items(settings: Settings, python: str) -> tuple[str, ...]:
    """Return the requirements and options of the settings, with the files of a Python."""
    return _of_python(settings.dependencies_python, python)


def own_python_items(image: OwnImage, python: str) -> tuple[str, ...]:
    """Return the requirements and options of an own image, with the files of a Python."""
    return _of_python(image.python, python)


def words(item: str) -> tuple[str, ...]:
    """Return the words of an item for uv: a requirement, or an option and its file."""
    return tuple(item.split(" ", 1)) if item.startswith("-") else (item,)


def debian_packages(settings: Settings, key: str, python: str) -> list[str]:
    """Return the Debian packages of a setting, with those of its files.

    Raises:
        UsageError: a file cannot be read, or has a line that is no name of a package.
    """
    return _apt(settings.project.root, settings.values[key], settings.origins[key], python)


def own_debian_packages(settings: Settings, image: OwnImage, python: str) -> list[str]:
    """Return the Debian packages that an own image adds to its base, with those of its files.

    Raises:
        UsageError: a file cannot be read, or has a line that is no name of a package.
    """
    return _apt(settings.project.root, image.apt, image.origins.get("apt", image.name), python)


def _of_python(items: Iterable[str], python: str) -> tuple[str, ...]:
    return tuple(
        item.replace("{python}", python) if item.startswith("-") else item for item in items
    )


def _dependencies(root: Path, items: Iterable[str], place: str) -> Dependencies:
    result = Dependencies(root)
    for item in items:
        option, *file = words(item)
        if file:
            result.include(file[0], place, constraints=option == "-c")
        else:
            _refuse_unusable(item, place)
            result.requirements.append(Requirement(place, item))
    return result


def _apt(root: Path, items: Iterable[str], place: str, python: str) -> list[str]:
    packages: list[str] = []
    for item in items:
        if not item.startswith("-"):
            packages.append(item)
            continue
        name = item.removeprefix("-r").strip().replace("{python}", python)
        path, text = _read(root, name, place)
        for number, line in _lines(text):
            packages += [parsing.apt_package(word, f"{path}:{number}") for word in line.split()]
    return packages


def _read(root: Path, name: str, place: str) -> tuple[str, str]:
    """Return the path of a file below the root, normalized, and its text.

    Raises:
        UsageError: it is elsewhere, or cannot be read.
    """
    if "://" in name:
        raise UsageError(
            f"{place}: {redact(name)}: what a web address has can change without notice: save it "
            "as a file"
        )
    path = posixpath.normpath(name)
    if path.startswith(("/", "../")) or path in {".", ".."}:
        raise UsageError(f"{place}: {name}: expected a file below {root}")
    try:
        return path, paths.read_text(root / path)
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield logical lines without comments, each with the number of its first line, as pip does."""
    begin, pending = 0, ""
    for number, line in enumerate([*text.splitlines(), ""], 1):
        begin = begin if pending else number
        if line.endswith("\\") and not _COMMENT.match(line):
            pending += line.rstrip("\\") + " "
            continue
        whole = _COMMENT.sub("", f"{pending}{line}").strip()
        pending = ""
        if whole:
            yield begin, whole


def _check_hashes(lines: Iterable[_Line]) -> None:
    """Raise UsageError if a file has hashes for some of its requirements only."""
    hashed = [line for line in lines if line.hashes or line.option == _REQUIRE_HASHES]
    unhashed = [line for line in lines if not line.hashes and not line.option]
    if hashed and unhashed:
        raise UsageError(
            f"{unhashed[0].place}: {unhashed[0].text} has no --hash, but {hashed[0].place} "
            "requires one of all packages of the file"
        )


def _refuse_unusable(text: str, place: str) -> None:
    """Raise UsageError for a requirement that is not in the build, or has a secret."""
    if _VARIABLE.search(text):
        raise UsageError(f"{place}: {text}: variables are not known to a build")
    if redact(text) != text:
        raise UsageError(f"{place}: {redact(text)!r} contains a secret (***), which would be shown")
    if _ADDRESS.match(text):
        raise UsageError(f"{place}: {text}: expected a name before the address: NAME @ {text}")
    if _PATH.match(text):
        raise UsageError(f"{place}: {text}: paths are not in a build: use the name of a package")
