"""What each step of a Dockerfile stands on: its text, its variables, the files that it reads."""

from __future__ import annotations

import fnmatch
import json
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from build_tasks.inputs import dockerfile
from build_tasks.inputs.dockerfile import STEPS, Instruction, semantics
from build_tasks.inputs.dockerfile.expansion import expand, variables

#: Instructions that change what the steps below them do.
_STATE = ("SHELL", "USER", "WORKDIR")
#: The argument that dates what a step writes; BuildKit looks at it unasked.
EPOCH = "SOURCE_DATE_EPOCH"
_READ = re.compile(rf"{semantics.STAGE}([^,\0]*)")


@dataclass(frozen=True)
class Stage:
    """What a stage begins with.

    Args:
        name: the stage.
        base: the image or the stage that it begins with; empty for `scratch`.
        parent: whether that is a stage of the same Dockerfile.
    """

    name: str
    base: str
    parent: bool


@dataclass(frozen=True)
class Use:
    """One step and what it stands on, apart from the steps above it.

    Args:
        instruction: the instruction.
        stage: its stage.
        number: its place in the stage, as BuildKit counts: from 1, an image that it begins with
            being one.
        variables: the arguments and the environment that it can see, by name, in order.
        state: those of SHELL, USER and WORKDIR above it that it depends on.
        files: what it reads of the build context, as patterns; `.` is everything.
        stages: the stages, contexts and images that it reads.
        meaning: what it means to BuildKit, however it is written.
    """

    instruction: Instruction
    stage: Stage
    number: int
    variables: Mapping[str, str] = field(default_factory=dict)
    state: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    meaning: tuple[str, ...] = ()

    def reads(self, paths: Iterable[str]) -> list[str]:
        """Return those of some paths that this step reads.

        Args:
            paths: of the build context, or of another context as `CONTEXT:PATH`.
        """
        return [path for path in paths if self._reads(path)]

    def _reads(self, path: str) -> bool:
        context, colon, _ = path.partition(":")
        if colon and context in self.stages:
            return True
        return any(_matches(path, one) for one in self.files)


def uses(instructions: Sequence[Instruction], arguments: Mapping[str, str]) -> tuple[Use, ...]:
    """Return the steps of a Dockerfile with all that each stands on.

    Args:
        instructions: the Dockerfile.
        arguments: the values that the build was given, by name.
    """
    return tuple(_read(instructions, arguments).found)


def effects(instructions: Sequence[Instruction], arguments: Mapping[str, str]) -> Effects:
    """Return what a Dockerfile makes: two of which all this is the same make the same image.

    Args:
        instructions: the Dockerfile.
        arguments: the values that the build was given, by name.
    """
    reader = _read(instructions, arguments)
    order: list[str] = []
    waiting = [[*reader.ends][-1]] if reader.ends else []
    while waiting:
        name = waiting.pop()
        if name in order:
            continue
        order.append(name)
        stage = reader.ends[name].stage
        read = [one for use in reader.found if use.stage.name == name for one in use.stages]
        read = [reader.stage(one) for one in (*read, *([stage.base] if stage.parent else []))]
        waiting += [one for one in reversed(read) if one in reader.ends]

    def placed(found: re.Match[str]) -> str:
        name = reader.stage(found[1])
        return f"{semantics.STAGE}{order.index(name) if name in order else name}"

    stages = []
    for name in order:
        end = reader.ends[name]
        base = order.index(reader.stage(end.stage.base)) if end.stage.parent else end.stage.base
        steps = [
            ([_READ.sub(placed, p) for p in use.meaning], [*use.variables.items()], use.state)
            for use in reader.found
            if use.stage.name == name
        ]
        stages.append((base, end.flags, steps))
    last = reader.ends[order[0]] if order else reader.scope
    made = {**last.configuration, "ENV": [*last.environment.items()], "STATE": last.state}
    used = tuple(use for use in reader.found if use.stage.name in order)
    return Effects(used, json.dumps([stages, made], sort_keys=True))


def _read(instructions: Sequence[Instruction], arguments: Mapping[str, str]) -> _Reader:
    reader = _Reader(arguments)
    for one in instructions:
        scope = reader.scope
        if one.word == "FROM":
            reader.begin(one)
        elif one.word == "ARG":
            reader.declare(one)
        elif one.word == "ENV":
            given = dockerfile.pairs(one).items()
            scope.environment |= {name: expand(text or "", scope.seen) for name, text in given}
        elif one.word in STEPS or one.word in _STATE:
            reader.step(one)
        else:
            scope.configuration = semantics.configuration(one, scope.configuration, scope.seen)
    return reader


@dataclass(frozen=True)
class Effects:
    """What a Dockerfile makes.

    Args:
        uses: the steps that its last stage stands on.
        text: all that the image depends on but the files, as JSON.
    """

    uses: tuple[Use, ...]
    text: str


def needed(instructions: Sequence[Instruction], arguments: Mapping[str, str]) -> tuple[Use, ...]:
    """Return the steps that the last stage needs; those of other stages never run.

    Args:
        instructions: the Dockerfile.
        arguments: the values that the build was given, by name.
    """
    steps = uses(instructions, arguments)
    parents = {
        one.stage: dockerfile.base(one).lower() for one in instructions if one.word == "FROM"
    }
    wanted, missing = set[str](), [*parents][-1:]
    while missing:
        stage = missing.pop()
        wanted.add(stage)
        read = {name for use in steps if use.stage.name == stage for name in use.stages}
        missing += ({parents[stage]} | read) & parents.keys() - wanted
    return tuple(use for use in steps if use.stage.name in wanted)


class _Scope:
    """What holds at one place of a stage."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.number = 0
        self.arguments: dict[str, str] = {}
        self.environment: dict[str, str] = {}
        self.state: dict[str, str] = {}
        self.configuration: dict[str, object] = {}
        self.flags: list[tuple[str, str]] = []

    @property
    def seen(self) -> dict[str, str]:
        """The variables; the environment hides arguments of the same name."""
        return {**self.arguments, **self.environment}


class _Reader:
    """What is known of a Dockerfile that was read down to some line."""

    def __init__(self, arguments: Mapping[str, str]) -> None:
        self.given = arguments
        self.everywhere: dict[str, str] = {}
        self.ends: dict[str, _Scope] = {}
        self.scope = _Scope(Stage("", "", parent=False))
        self.found: list[Use] = []

    def begin(self, one: Instruction) -> None:
        begins = expand(dockerfile.base(one), self.everywhere)
        inherited = self.ends.get(begins.lower())
        base = "" if begins == "scratch" else begins
        self.scope = _Scope(Stage(one.stage, base, parent=inherited is not None))
        if inherited:
            # A stage's arguments end with it; what it set in the image goes on.
            self.scope.environment.update(inherited.environment)
            self.scope.state.update(inherited.state)
            self.scope.configuration.update(inherited.configuration)
        elif base:
            self.scope.number = 1
        self.scope.flags = [(n, expand(v, self.everywhere)) for n, v in dockerfile.flags(one)]
        self.ends[one.stage] = self.scope

    def stage(self, name: str) -> str:
        """Return the name of the stage that a name or a number means; others as they are."""
        by_number = name.isdecimal() and name.isascii() and int(name[:6]) < len(self.ends)
        return [*self.ends][int(name)] if by_number else name.lower()

    def declare(self, one: Instruction) -> None:
        for name, default in dockerfile.pairs(one).items():
            value = self.given.get(name)
            if value is None:
                outer = self.everywhere.get(name)
                value = outer if default is None else expand(default, self.scope.seen)
            if value is None:
                continue  # what has no value is not there
            self.scope.arguments[name] = value
            if not one.stage:
                self.everywhere[name] = value

    def step(self, one: Instruction) -> None:
        if one.word in STEPS:
            self.scope.number += 1
            use = _use(one, self.scope, self.given.get(EPOCH))
            self.found.append(replace(use, stages=tuple(self.stage(name) for name in use.stages)))
        if one.word == "SHELL":
            self.scope.state["SHELL"] = " ".join(semantics.exec_form(one.rest) or (one.rest,))
        elif one.word in _STATE:
            self.scope.state[one.word] = expand(one.rest, self.scope.seen)


def _use(one: Instruction, scope: _Scope, epoch: str | None) -> Use:
    seen = scope.seen
    if one.word == "RUN":  # a program sees every variable
        files, stages = _mounts(one, seen)
        said = semantics.run(one, seen)
        return Use(one, scope.stage, scope.number, seen, dict(scope.state), files, stages, said)
    # A quoted heredoc ('<<"EOF"') is taken as it stands: its variables are the shell's.
    named = {name: seen[name] for name in variables(_expanded(one)) if name in seen}
    if epoch is not None:
        named[EPOCH] = epoch
    if one.word == "WORKDIR":
        said = semantics.workdir(one, seen)
        state = _state(scope, said[-1], "USER")
        return Use(one, scope.stage, scope.number, named, state, meaning=said)
    said = semantics.copy(one, seen)
    sources, origin = _sources(one, seen)
    files, stages = ((), (origin,)) if origin else (sources, ())
    state = _state(scope, said[-1])
    return Use(one, scope.stage, scope.number, named, state, files, stages, said)


def _state(scope: _Scope, path: str, *others: str) -> dict[str, str]:
    """Return the state that a path depends on: where it is relative, on the working directory."""
    names = (*others, *(() if path.startswith("/") else ("WORKDIR",)))
    return {name: scope.state[name] for name in names if name in scope.state}


def _expanded(one: Instruction) -> str:
    return one.head if '<<"' in one.head or "<<'" in one.head else one.text


def _mounts(one: Instruction, seen: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    files, stages = [], []
    for name, value in dockerfile.flags(one):
        if name == "mount":
            given = {
                part.partition("=")[0]: part.partition("=")[2]
                for part in expand(value, seen).split(",")
            }
            origin = given.get("from", "")
            if given.get("type", "bind") != "bind" and not origin:
                continue
            if origin:
                stages.append(origin.lower())
            else:
                files.append(_clean(given.get("source") or given.get("src") or "."))
    return tuple(files), tuple(stages)


def _sources(one: Instruction, seen: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    origin = next((value for name, value in dockerfile.flags(one) if name == "from"), "")
    given = semantics.arguments(one)
    sources = [expand(word, seen) for word in given[:-1] if not word.startswith("<<")]
    outside = ("http://", "https://", "git@")
    paths = (_clean(word) for word in sources if not word.startswith(outside))
    return tuple(paths), expand(origin, seen).lower()


def _clean(path: str) -> str:
    return posixpath.normpath(path.lstrip("/") or ".")


def _matches(path: str, pattern: str) -> bool:
    """Return whether a path is what a pattern names, or lies in it.

    A `*` of BuildKit's ends at a slash; here each part of the path is compared with its own.
    """
    if pattern == ".":
        return True
    parts, wanted = path.split("/"), pattern.split("/")
    return len(parts) >= len(wanted) and all(
        fnmatch.fnmatchcase(part, want) for part, want in zip(parts, wanted, strict=False)
    )
