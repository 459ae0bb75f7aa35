"""The verbs as tasks of invoke."""

from __future__ import annotations

import inspect
import keyword
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.program import Program
from invoke.tasks import Task

from build_tasks import console
from build_tasks.config.options import Option, collect
from build_tasks.config.parsing import unknown
from build_tasks.errors import ImagesError, Interrupted, UsageError
from build_tasks.front import command_line
from build_tasks.front.verbs import VERBS, Verb


def namespace(words: Sequence[str]) -> Collection:
    """Return the tasks that a command line can mean; end the program for a mistake in it.

    Args:
        words: the command line.
    """
    if _is_invoke():
        try:
            _check(words)
        except ImagesError as error:
            console.message(str(error))
            sys.exit(error.exit_code)
    root = Collection()
    for path in _named(words):
        folder, _, name = path.rpartition(".")
        if folder and folder not in root.collections:
            root.add_collection(Collection(folder))
        collection = root.collections[folder] if folder else root
        collection.add_task(_task(VERBS[path], words), name=name)
    return root


def _named(words: Sequence[str]) -> Iterable[str]:
    """Return the tasks that a command line names, all tasks if it does not begin with one.

    Invoke copies all options of all tasks twice, which would take longer than a no-op build.
    """
    return [name for name in VERBS if name in words] if words and words[0] in VERBS else VERBS


def _task(verb: Verb, words: Sequence[str]) -> Task[Callable[..., None]]:
    """Return the task of a verb.

    Invoke reads the options of a task from its signature, so that is made from the table. Former
    names are in it only where the command line has them: help does not show them.
    """
    given = {word.partition("=")[0] for word in words}
    old = [
        Option(option.old_name, option.group, option.help, option.metavar, option.choices)
        for option in verb.options
        if option.old_name and f"--{option.old_name}" in given
    ]
    options = {_parameter(option): option for option in (*verb.options, *old)}

    def body(_context: Context, **values: Any) -> None:
        named = {option.name: values[parameter] for parameter, option in options.items()}
        try:
            verb.run(collect(named, verb.options))
        except (ImagesError, Interrupted) as error:
            raise Exit(str(error), code=error.exit_code) from None

    several = [name for name, option in options.items() if option.several or option.repeat]
    parameters = [inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    parameters += [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if option.flag else [] if name in several else None,
        )
        for name, option in options.items()
    ]
    body.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # PEP 362
    body.__doc__ = verb.body.__doc__
    return Task(
        body,
        auto_shortflags=False,
        positional=[name for name, option in options.items() if option.positional],
        iterable=several,
    )


def _parameter(option: Option) -> str:
    name = option.name.replace("-", "_")
    return f"{name}_" if keyword.iskeyword(name) else name  # invoke strips the underscore


def _is_invoke() -> bool:
    program = Path(sys.argv[0])
    return program.name in {"invoke", "inv"} or program.parts[-2:] == ("invoke", "__main__.py")


def _check(words: Sequence[str]) -> None:
    """Print help, or raise UsageError for an unknown task or option: Invoke suggests none.

    Args:
        words: the command line; unchecked if it begins with an option of Invoke itself.
    """
    if not words:
        Program.no_tasks_given = Program.list_tasks  # type: ignore[method-assign]
    if words[:1] in (["-h"], ["--help"]) and words[1:2] and words[1] in VERBS:
        words = [words[1], words[0]]
    rest = [*words] if words and not words[0].startswith("-") else []
    task, given = "", set[str]()
    while rest:
        word = rest.pop(0)
        if word in VERBS:
            task, given = word, set()
        elif not task:
            raise unknown("unknown task", word, VERBS, "invoke -l")
        elif word.startswith("-") and word != "-":  # a hyphen alone is standard input
            _check_option(word, rest, task, given)
        elif not any(option.positional for option in VERBS[task].options):
            raise UsageError(f"{task}: takes no argument {word!r}, and no task has that name")


def _check_option(word: str, rest: list[str], task: str, given: set[str]) -> None:
    """Raise UsageError for an unknown or repeated option; remove its value from the rest."""
    verb = VERBS[task]
    if word in {"-h", "--help", "--version"}:
        command_line.parse(
            task, verb.options, [word], command=f"invoke {task}", examples=verb.examples
        )
    name, equals, _ = word.partition("=")
    for option in verb.options:
        if name in {f"--{option.name}", f"--{option.old_name}"}:
            if not option.flag and not equals:
                if not rest:
                    raise UsageError(f"{name}: needs a value")
                rest.pop(0)
            if name in given and not (option.several or option.repeat):
                raise UsageError(f"{name}: given twice")
            given.add(name)
            return
    raise command_line.unknown_option(word, verb.options, task)
