"""What each step of a Dockerfile depends on: its text, its variables, the files that it reads."""

from __future__ import annotations

import fnmatch
import json
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from build_tasks.inputs import dockerfile
from build_tasks.inputs.dockerfile import STEPS, Instruction, semantics
from build_tasks.inputs.dockerfile.expansion import expand, variables

#: Instructions that change what the steps below them do.
_STATE = ("SHELL", "USER", "WORKDIR")
#: The argument with the time of the files that a step writes (reproducible-builds.org); BuildKit
#: always looks at it.
EPOCH = "SOURCE_DATE_EPOCH"


@dataclass(frozen=True)
class Stage:
    """What a stage begins with.

    Args:
        name: the stage.
        base: its image or stage; empty for `scratch`.
        parent: whether the base is a stage of the same Dockerfile.
        root: the image below all the stages that it is based on.
    """

    name: str = ""
    base: str = ""
    parent: bool = False
    root: str = ""


@dataclass(frozen=True)
class Use:
    """One step and what it depends on, apart from the steps above it.

    Args:
        instruction: the instruction.
        stage: its stage.
        number: its place in the stage as BuildKit counts, from 1; the base image counts as one.
        variables: the arguments and environment variables that it sees, by name, in order.
        state: those of SHELL, USER and WORKDIR above it that it depends on.
        files: the paths or patterns of the build context that it reads; `.` is everything.
        stages: the stages, contexts and images that it reads.
        meaning: its meaning to BuildKit, however it is written.
        above: the step above it, in its stage or in those that the stage is based on.
    """

    instruction: Instruction
    stage: Stage
    number: int
    variables: Mapping[str, str] = field(default_factory=dict)
    state: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    meaning: tuple[str, ...] = ()
    above: Use | None = field(default=None, compare=False, repr=False)

    @property
    def place(self) -> tuple[str, int]:
        """The name of the stage, and the number."""
        return self.stage.name, self.number

    def reads(self, paths: Iterable[str]) -> list[str]:
        """Return those of some paths that this step reads.

        Args:
            paths: paths of the build context, or `CONTEXT:PATH` for another context.
        """
        contexts = tuple(f"{stage}:" for stage in self.stages)
        patterns = self.files  # a checkout has thousands of files, and few steps read any of them
        return [
            path
            for path in paths
            if path.startswith(contexts) or (patterns and any(_matches(path, p) for p in patterns))
        ]


def uses(instructions: Sequence[Instruction], arguments: Mapping[str, str]) -> tuple[Use, ...]:
    """Return the steps of a Dockerfile with some build arguments."""
    return tuple(_Reader(instructions, arguments).uses)


def needed(instructions: Sequence[Instruction], arguments: Mapping[str, str]) -> tuple[Use, ...]:
    """Return the steps that the last stage needs; those of other stages never run."""
    reader = _Reader(instructions, arguments)
    stages = reader.needed_stages()
    return tuple(use for use in reader.uses if use.stage.name in stages)


def effects(instructions: Sequence[Instruction], arguments: Mapping[str, str]) -> str:
    """Return all that an image depends on but files, as JSON: equal texts make equal images."""
    reader = _Reader(instructions, arguments)
    order = reader.needed_stages()
    numbers = {name: str(number) for number, name in enumerate(order)}
    numbers |= {str(n): numbers[name] for n, name in enumerate(reader.scopes) if name in numbers}
    stages = []
    for name in order:
        scope = reader.scopes[name]
        base = scope.stage.base
        steps = [
            (semantics.with_stages(use.meaning, numbers), [*use.variables.items()], use.state)
            for use in reader.uses
            if use.stage.name == name
        ]
        parent = order.index(reader.stage(base)) if scope.stage.parent else base
        stages.append((parent, scope.flags, steps))
    last = reader.scopes[order[0]] if order else reader.scope
    image = {**last.configuration, "ENV": [*last.environment.items()], "STATE": last.state}
    return json.dumps([stages, image], sort_keys=True)


def choices(instructions: Sequence[Instruction], arguments: Mapping[str, str]) -> dict[str, str]:
    """Return those of some arguments that choose one of a Dockerfile's stages."""
    stages = {instruction.stage for instruction in instructions}
    bases = {dockerfile.base(each) for each in instructions if each.word == "FROM"}
    # A variable that is all of a reference may be an image, which is no part of the Dockerfile.
    return {
        name: value
        for name, value in arguments.items()
        for base in bases
        if name in variables(base) and expand(base, arguments).lower() in stages
    }


@dataclass(frozen=True)
class Outcome:
    """What a Dockerfile makes of the configuration of its base image.

    Args:
        root: the base image of the last stage, or of the stages that it is based on.
        environment: all variables.
        state: what SHELL, USER and WORKDIR set.
        configuration: what further instructions set, by their keyword.
        linked: the layers on top of the base image: whether each was copied with `--link`, so that
            it does not depend on the ones below.
    """

    root: str
    environment: Mapping[str, str]
    state: Mapping[str, Sequence[str]]
    configuration: Mapping[str, object]
    linked: tuple[bool, ...]

    def configure(self, base: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration of an image, without variables and labels.

        Args:
            base: the configuration of the base image (`config` of the OCI image configuration).
        """
        config, own = dict(base), self.configuration
        for word, key in (("USER", "User"), ("WORKDIR", "WorkingDir")):
            if word in self.state:
                config[key] = self.state[word][0]
        if "SHELL" in self.state:
            config["Shell"] = [*self.state["SHELL"]]
        if "STOPSIGNAL" in own:
            config["StopSignal"] = _words(own["STOPSIGNAL"])[0]
        if "ENTRYPOINT" in own:
            config["Cmd"] = []
        for word, key in (("ENTRYPOINT", "Entrypoint"), ("CMD", "Cmd")):
            if word in own:
                config[key] = _command(own[word], config.get("Shell") or semantics.SHELL)
        for word, key in (("EXPOSE", "ExposedPorts"), ("VOLUME", "Volumes")):
            if word in own:
                added: dict[str, Any] = {name: {} for name in _words(own[word])}
                config[key] = {**(base.get(key) or {}), **added}
        return config


def _command(value: object, shell: Sequence[str]) -> object:
    return [*shell, value] if isinstance(value, str) else value


def _words(value: object) -> Sequence[str]:
    return [*value] if isinstance(value, list) else []


def outcome(
    instructions: Sequence[Instruction],
    arguments: Mapping[str, str],
    environment: Mapping[str, str],
    folder: str,
) -> Outcome:
    """Return what the last stage makes of its base image's environment and working directory."""
    reader = _Reader(instructions, arguments, environment)
    scope = reader.scope
    steps: list[Use] = []
    use = scope.last
    while use:
        steps.insert(0, use)
        use = use.above
    folders = [step.meaning[0] for step in steps if step.instruction.word == "WORKDIR"]
    state: dict[str, Sequence[str]] = {"USER": [scope.state.get("USER", "")]}
    if folders:
        state["WORKDIR"] = [posixpath.normpath(posixpath.join("/", folder, *folders))]
    if scope.shell:
        state["SHELL"] = scope.shell
    return Outcome(
        scope.stage.root,
        scope.environment,
        {word: text for word, text in state.items() if any(text)},
        scope.configuration,
        # A working directory of `/` makes no layer.
        tuple(_linked(step.instruction) for step in steps if step.meaning != ("/",)),
    )


def _linked(instruction: Instruction) -> bool:
    given = dict(dockerfile.flags(instruction)[0]) if instruction.word in {"ADD", "COPY"} else {}
    return given.get("link", "false") in {"", "true"}


@dataclass
class _Scope:
    """What holds at one place of a stage."""

    stage: Stage
    number: int = 0
    arguments: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    state: dict[str, str] = field(default_factory=dict)
    configuration: dict[str, object] = field(default_factory=dict)
    flags: list[tuple[str, str]] = field(default_factory=list)
    last: Use | None = None
    shell: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, str]:
        """The variables; the environment hides arguments of the same name."""
        return {**self.arguments, **self.environment}


class _Reader:
    """Follows a Dockerfile from top to bottom."""

    def __init__(
        self,
        instructions: Sequence[Instruction],
        arguments: Mapping[str, str],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.arguments = arguments
        self.base_environment = environment or {}
        self.global_arguments: dict[str, str] = {}
        self.scopes: dict[str, _Scope] = {}
        self.scope = _Scope(Stage())
        self.uses: list[Use] = []
        for instruction in instructions:
            self._follow(instruction)

    def _follow(self, instruction: Instruction) -> None:
        scope = self.scope
        if instruction.word == "FROM":
            self._begin(instruction)
        elif instruction.word == "ARG":
            self._declare(instruction)
        elif instruction.word == "ENV":
            values = scope.values
            for name, text in dockerfile.pairs(instruction).items():
                scope.environment[name] = expand(text or "", values)
        elif instruction.word in STEPS or instruction.word in _STATE:
            self._step(instruction)
        else:
            scope.configuration = semantics.configuration(
                instruction, scope.configuration, scope.values
            )

    def _begin(self, instruction: Instruction) -> None:
        base = expand(dockerfile.base(instruction), self.global_arguments)
        parent = self.scopes.get(base.lower())
        base = "" if base == "scratch" else base
        root = parent.stage.root if parent else base
        self.scope = _Scope(Stage(instruction.stage, base, parent is not None, root))
        if parent:
            # A stage's arguments end with it; its environment, state and configuration do not.
            self.scope.environment.update(parent.environment)
            self.scope.state.update(parent.state)
            self.scope.configuration.update(parent.configuration)
            self.scope.last = parent.last
            self.scope.shell = parent.shell
        elif base:
            self.scope.number = 1
            self.scope.environment.update(self.base_environment)
        flags = dockerfile.flags(instruction)[0]
        self.scope.flags = [(name, expand(text, self.global_arguments)) for name, text in flags]
        self.scopes[instruction.stage] = self.scope

    def stage(self, name: str) -> str:
        """Return the name of a stage that is named or numbered; other names as they are."""
        by_number = name.isdecimal() and name.isascii() and int(name[:6]) < len(self.scopes)
        return [*self.scopes][int(name)] if by_number else name.lower()

    def needed_stages(self) -> list[str]:
        """Return the last stage and those that it needs, depth first."""
        order: list[str] = []
        pending = [*self.scopes][-1:]
        while pending:
            name = pending.pop()
            if name not in order:
                order.append(name)
                stage = self.scopes[name].stage
                names = [text for use in self.uses if use.stage.name == name for text in use.stages]
                names += [self.stage(stage.base)] if stage.parent else []
                pending += [text for text in reversed(names) if text in self.scopes]
        return order

    def _declare(self, instruction: Instruction) -> None:
        for name, default in dockerfile.pairs(instruction).items():
            value = self.arguments.get(name)
            if value is None and default is None:
                value = self.global_arguments.get(name)
            elif value is None:
                value = expand(default or "", self.scope.values)
            if value is None:
                continue  # an argument without a value is not set
            self.scope.arguments[name] = value
            if not instruction.stage:
                self.global_arguments[name] = value

    def _step(self, instruction: Instruction) -> None:
        scope, values = self.scope, self.scope.values
        if instruction.word in STEPS:
            scope.number += 1
            scope.last = self._use(instruction)
            self.uses.append(scope.last)
        if instruction.word == "SHELL":
            shell = semantics.exec_form(instruction.rest) or (instruction.rest,)
            scope.state["SHELL"] = " ".join(shell)
            scope.shell = shell
        elif instruction.word in _STATE:
            scope.state[instruction.word] = expand(instruction.rest, values)

    def _use(self, instruction: Instruction) -> Use:
        scope, values = self.scope, self.scope.values
        step = semantics.step(instruction, values)
        if instruction.word == "RUN":  # a program sees all
            named, state = values, dict(scope.state)
        else:
            text = instruction.head if semantics.quoted(instruction) else instruction.text
            named = {name: values[name] for name in variables(text) if name in values}
            if EPOCH in self.arguments:
                named[EPOCH] = self.arguments[EPOCH]
            words = ["USER"] if instruction.word == "WORKDIR" else []
            if not step.meaning[-1].startswith("/"):  # relative to the working directory
                words.append("WORKDIR")
            state = {word: scope.state[word] for word in words if word in scope.state}
        stages = tuple(map(self.stage, step.stages))
        place = (instruction, scope.stage, scope.number)
        return Use(*place, named, state, step.files, stages, step.meaning, scope.last)


def _matches(path: str, pattern: str) -> bool:
    """Return whether a path matches a pattern or is below it; `*` does not match a slash."""
    if pattern == ".":
        return True
    parts, wanted = path.split("/"), pattern.split("/")
    return len(parts) >= len(wanted) and all(
        fnmatch.fnmatchcase(part, want) for part, want in zip(parts, wanted, strict=False)
    )
