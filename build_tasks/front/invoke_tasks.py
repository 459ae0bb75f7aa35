"""The verbs as tasks of invoke."""

from __future__ import annotations

import os
import shlex
import sys

# Invoke turns bytecode off, and every run would compile the package anew.
sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))

from build_tasks.front import startup

startup.end_on_interrupt()

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Collection as Names
from pathlib import Path
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.program import Program
from invoke.tasks import Task

from build_tasks import console
from build_tasks.config.options import FORMER_FLAGS, FORMER_NAMES, Option, collect
from build_tasks.config.parsing import unknown
from build_tasks.errors import ImagesError, Interrupted, UsageError
from build_tasks.front import command_line
from build_tasks.front.verbs import VERBS, Verb
from build_tasks.text import hints
from build_tasks.text.formatting import listed


class _VerbTask(Task[Callable[..., None]]):
    """A verb as a task.

    Args:
        verb: the verb.
        given: the options that the command line gives; None if that was not parsed.
        remainder: what follows `--` in the command line; Invoke would join the words.
    """

    def __init__(
        self, verb: Verb, given: Mapping[str, Any] | None, remainder: Sequence[str]
    ) -> None:
        rest = [*remainder] if given is None else given.get(verb.rest)

        def body(_context: Context, **values: Any) -> None:
            try:
                verb.run(collect({**values, verb.rest: rest}, verb.options))
            except (ImagesError, Interrupted) as error:
                raise Exit(str(error), code=error.exit_code) from None

        body.__doc__ = verb.body.__doc__
        super().__init__(body, positional=())
        self._options = verb.named
        self._given = given

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the options, with their former names as aliases."""
        del ignore_unknown_help  # the options have none here
        names = {option.name for option in self._options}
        former = [
            Argument(name=old, kind=bool, default=False)
            for old, (new, _) in FORMER_FLAGS.items()
            if new in names
        ]
        return [*(self._argument(option) for option in self._options), *former]

    def _argument(self, option: Option) -> Argument:
        former = [old for old, new in FORMER_NAMES.items() if new == option.name]
        names = (option.name, *former)
        if option.flag:
            return Argument(names=names, kind=bool, default=False)
        if option.positional:  # which Invoke requires
            required = self._given is None or option.name in self._given
            return Argument(names=names, positional=required)
        return Argument(names=names, kind=list)


def namespace(*own: Callable[..., Any], words: Sequence[str] | None = None) -> Collection:
    """Return the tasks that a command line can mean; end the program for a mistake in it.

    Args:
        own: further tasks, of the project itself.
        words: the command line; by default, that of this process.
    """
    words = sys.argv[1:] if words is None else words
    root = Collection(*own)
    # Invoke copies the options of all tasks twice, which would take longer than a no-op build.
    tasks: Mapping[str, Mapping[str, Any] | None] = {}
    if hints.front_end() == "invoke" or Path(sys.argv[0]).name == hints.COMMAND:
        try:
            tasks = _parse(words, {*root.task_names})
        except ImagesError as error:
            console.message(str(error))
            sys.exit(error.exit_code)
    remainder = words[words.index("--") + 1 :] if "--" in words else ()
    for path, given in (tasks or dict.fromkeys(VERBS)).items():
        folder, _, name = path.rpartition(".")
        if folder and folder not in root.collections:
            root.add_collection(Collection(folder))
        collection = root.collections[folder] if folder else root
        collection.add_task(_VerbTask(VERBS[path], given, remainder), name=name)
    return root


def _parse(words: Sequence[str], own: Names[str]) -> dict[str, Mapping[str, Any]]:
    """Return the tasks that a command line names, each with the options that it is given.

    Print help, or raise UsageError for an unknown task or option: Invoke suggests none.

    Args:
        words: the command line; not parsed if it begins with an option of Invoke itself.
        own: the tasks of the project itself, whose options are Invoke's to parse.
    """
    if not words:
        Program.no_tasks_given = Program.list_tasks  # type: ignore[method-assign]
    if words[:1] in (["-h"], ["--help"]) and words[1:2] and words[1] in VERBS:
        words = [words[1], words[0]]
    tasks: dict[str, Mapping[str, Any]] = {}
    name = ""
    while words and (tasks or not words[0].startswith("-")):
        word, *words = words
        if word in own:
            return {}
        if word not in VERBS and name and VERBS[name].rest:
            raise UsageError(
                f"{name}: the command follows `--`: {shlex.join(['--', word, *words])}"
            )
        if word not in VERBS and name:
            raise UsageError(f"{name}: takes no argument {word!r}, and no task has that name")
        if word not in VERBS:
            of_group = [verb for verb in VERBS if verb.startswith(f"{word}.")]
            if of_group:
                raise UsageError(f"{word!r} is a group of tasks: choose {listed(of_group)}")
            raise unknown("unknown task", word, (*VERBS, *own), hints.task("-l"))
        name = word
        options, words = command_line.read(VERBS[name], words, name, hints.task(name))
        tasks[name] = options.given
    return tasks
