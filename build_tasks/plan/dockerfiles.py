"""A Dockerfile of the project: what it declares, what it reads, and its ignore file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from build_tasks import paths
from build_tasks.config.parsing import nearest, unknown
from build_tasks.config.settings import Settings
from build_tasks.errors import UsageError
from build_tasks.inputs import dockerfile
from build_tasks.inputs.dockerfile import Instruction, inputs
from build_tasks.inputs.fingerprint import BASE_ARGUMENT
from build_tasks.model.aliases import Pairs
from build_tasks.model.matrix import ImageKind

#: The argument with the release of Airflow.
_AIRFLOW = "AIRFLOW_VERSION"
#: Arguments that steps get without ARG (Dockerfile reference, "Predefined ARGs").
_PREDEFINED = frozenset(("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"))
#: Stands for the image that an argument names.
_MARK = "the-image-that-the-argument-names"
#: The words of instructions that name a stage or a build context.
_FROM = re.compile(r"(?:^FROM\s+(?:--\S+\s+)*|from=)(?P<name>[^\s,]+)")


@dataclass(frozen=True)
class Dockerfile:
    """A Dockerfile, up to the stage that is built.

    Args:
        file: the file.
        name: the file as messages name it.
        target: the stage; empty for the last one.
        instructions: the instructions up to the end of that stage; those below cannot be used.
    """

    file: Path
    name: str
    target: str
    instructions: tuple[Instruction, ...]

    @cached_property
    def arguments(self) -> frozenset[str]:
        """The names of its arguments."""
        return dockerfile.declared(self.instructions)

    def gets(self, pairs: Pairs) -> Pairs:
        """Return those of some arguments that reach its steps."""
        return tuple(pair for pair in pairs if pair[0] in self.arguments | _PREDEFINED)

    @cached_property
    def _sources(self) -> frozenset[str]:
        found = (match["name"] for one in self.instructions for match in _FROM.finditer(one.text))
        return frozenset(found)

    @property
    def ignore_file(self) -> Path | None:
        """Its own ignore file, which comes before that of the build context.

        The name is BuildKit's: https://docs.docker.com/build/concepts/context/#dockerignore-files.
        """
        file = self.file.with_name(f"{self.file.name}.dockerignore")
        return file if file.is_file() else None

    def installs_airflow(self, settings: Settings, kind: ImageKind) -> bool:
        """Return whether it installs a release of Airflow; Airflow's own Dockerfiles always do."""
        return _AIRFLOW in self.arguments or not is_other(settings, kind)

    def base(self, given: Mapping[str, str]) -> str:
        """Return the base image that it names itself; "" if BASE_IMAGE does, or it is unknown."""
        root = self._root({**given, BASE_ARGUMENT: _MARK})
        return "" if "$" in root or _MARK in root else root

    def reads(self, context: str) -> bool:
        """Return whether it uses a named build context."""
        return context in self._sources

    def stands_on(self, argument: str, given: Mapping[str, str]) -> bool:
        """Return whether the stage that is built stands on the image that an argument names.

        Another stage that does is not enough: the image would have none of it. The `given`
        arguments may choose the stage.
        """
        return self._root({**given, argument: _MARK}) == _MARK

    def _root(self, given: Mapping[str, str]) -> str:
        return inputs.outcome(self.instructions, given, {}, "/").root

    def select(
        self, given: Mapping[str, str], planned: Iterable[str], place: str
    ) -> dict[str, str]:
        """Return the user's arguments, all of which it has to declare.

        Args:
            given: the values by name.
            planned: the arguments that the suite sets itself.
            place: what sets them.

        Raises:
            UsageError: an argument is not declared, or the suite sets it.
        """
        missing = f"{self.name} does not declare it"
        check_arguments(given, self.arguments, planned, place, missing)
        return dict(given)


def check_arguments(
    given: Iterable[str], declared: Iterable[str], planned: Iterable[str], place: str, missing: str
) -> None:
    """Raise UsageError for a user's argument that the suite sets, or that is not declared.

    `missing` says in the error what does not declare it.
    """
    planned = {*planned}
    known = sorted({*declared} - planned)
    for name in given:
        if name in planned:
            raise UsageError(f"{place}: {name}: it is set from other settings")
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean {near}?" if near else f"declare it with ARG {name}"
            raise UsageError(f"{place}: {name}: {missing}: {hint}")


def is_other(settings: Settings, kind: ImageKind) -> bool:
    """Return whether a setting names a Dockerfile in the place of Airflow's."""
    return bool(settings.values[f"{kind}.dockerfile"])


def of_kind(settings: Settings, kind: ImageKind) -> Dockerfile:
    """Return the Dockerfile of one of Airflow's images: the project's, or the package's.

    Raises:
        UsageError: a setting names a file or a stage that does not exist.
    """
    names = (f"{kind}.dockerfile", f"{kind}.target")
    name, target = (settings.values[key] for key in names)
    place, target_place = (settings.origins[key] for key in names)
    place = place if name else ""  # the project's own Dockerfile is not named by a setting
    file = settings.path(names[0], name) if name else settings.project.path(kind.dockerfile)
    return read(file, place, target, target_place, name=name)


def context_of(settings: Settings, kind: ImageKind) -> Path:
    """Return the folder of the build context of one of Airflow's images.

    Raises:
        UsageError: a setting names a folder that does not exist.
    """
    key = f"{kind}.context"
    name = settings.values[key]
    folder = settings.path(key, name) if name else settings.project.root
    if not folder.is_dir():
        raise UsageError(f"{settings.origins[key]}: there is no folder {name}")
    return folder


def read(
    file: Path, place: str, target: str = "", target_place: str = "", *, name: str = ""
) -> Dockerfile:
    """Return a Dockerfile.

    Args:
        file: the file.
        place: what names the file; empty if no setting does.
        target: the stage that is built, by its name; empty for the last one.
        target_place: what names the stage.
        name: the file as messages name it, if not by its own name.

    Raises:
        UsageError: there is no such file, or no such stage.
    """
    if place and not file.is_file():
        raise UsageError(f"{place}: there is no file {file}")
    name = name or file.name
    return Dockerfile(file, name, target, up_to(file, target, f"{target_place}: {name}"))


def up_to(file: Path, target: str, place: str = "") -> tuple[Instruction, ...]:
    """Return the instructions of a Dockerfile up to the end of a stage.

    Raises:
        UsageError: the file cannot be read, or there is no such stage.
    """
    instructions = dockerfile.parse(paths.read_text(file))
    if not target:
        return instructions
    stage, begins = target.lower(), (one for one in instructions if one.word == "FROM")
    # BuildKit knows no stage without a name, and none by its number.
    stages = [*dict.fromkeys(one.stage for one in begins if dockerfile.named(one))]
    if stage not in stages:
        raise unknown(f"{place}: unknown stage", target, stages)
    last = max(number for number, one in enumerate(instructions) if one.stage == stage)
    return instructions[: last + 1]
