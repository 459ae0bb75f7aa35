"""Tasks: `invoke image.build --python 3.11`; `invoke -l` lists them, `invoke -h TASK` explains."""

from __future__ import annotations

import inspect
import keyword
import os
import sys
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any

# Invoke has Python write no bytecode, and every run would compile the project anew.
sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))

from build_tasks.front import startup

startup.end_on_interrupt()

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task

from build_tasks import commands, process
from build_tasks.commands import Verb
from build_tasks.commands.output import reported
from build_tasks.config import options
from build_tasks.config.options import Option, Options
from build_tasks.errors import ImagesError, Interrupted, UsageError

#: The task, the function in build_tasks.commands that does its work, and the options that it takes.
TASKS: tuple[tuple[str, str, Sequence[Option]], ...] = (
    ("bake", "build.bake", options.BAKE),
    ("builder.create", "builders.create_builder", options.BUILDER_CREATE),
    ("builder.inspect", "builders.inspect_builder", options.SETTINGS_REPORT),
    ("builder.list", "builders.list_builders", options.SETTINGS_REPORT),
    ("builder.remove", "builders.remove_builder", options.BUILDER_REMOVE),
    ("cache.prune", "caches.prune_cache", options.PRUNE),
    ("cache.push", "build.push_cache", options.SELECTED_BUILD),
    ("cache.usage", "caches.show_usage", options.USAGE),
    ("constraints.generate", "constraints.generate_constraints", options.SELECTED_CONSTRAINTS),
    ("engine.start", "engine.start_engine", options.ENGINE_START),
    ("engine.status", "engine.show_engine", options.REPORT),
    ("engine.stop", "engine.stop_engine", options.ENGINE_STOP),
    ("image.build", "build.build", options.SELECTED_BUILD),
    ("image.check", "check.check_image", options.CHECK),
    ("image.explain", "check.explain_image", options.EXPLAIN),
    ("image.load", "images.load_image", options.LOAD),
    ("image.merge", "build.merge_image", options.SELECTED_MERGE),
    ("image.push", "build.push_image", options.SELECTED_BUILD),
    ("image.report", "reports.report_image", options.IMAGE_REPORT),
    ("image.save", "images.save_image", options.SAVE),
    ("image.verify", "images.verify_image", options.VERIFY),
    ("matrix", "reports.show_matrix", options.SETTINGS_REPORT),
    ("settings", "reports.show_settings", options.SETTINGS_REPORT),
)


def task(verb: Verb, takes: Sequence[Option]) -> Task[Callable[..., None]]:
    """Return the task that calls one verb with the options that it takes.

    Invoke reads a task's options from its signature, so the signature is made from the table.
    """

    def body(_context: Context, **given: Any) -> None:
        named = {option.name: given[_parameter(option)] for option in takes}
        try:
            with process.interruptible(), reported():
                verb(Options(named))
        except (ImagesError, Interrupted) as error:
            raise Exit(str(error), code=error.exit_code) from None

    parameters = [inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    parameters += [
        inspect.Parameter(
            _parameter(option),
            inspect.Parameter.KEYWORD_ONLY,
            default=False if option.flag else [] if option.several else None,
        )
        for option in takes
    ]
    body.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # PEP 362's
    body.__doc__ = verb.__doc__
    explained = {_parameter(option): option.help for option in takes}
    alone = [_parameter(option) for option in takes if option.alone]
    several = [_parameter(option) for option in takes if option.several]
    return Task(body, auto_shortflags=False, help=explained, positional=alone, iterable=several)


def _parameter(option: Option) -> str:
    name = option.name.replace("-", "_")
    return f"{name}_" if keyword.iskeyword(name) else name  # invoke takes the last one off again


def _meant(words: Sequence[str]) -> frozenset[str]:
    """Return the tasks that a command line can mean: those that it names, if it begins with one.

    Invoke copies every option of every task that it is given, twice, which takes longer than all
    else before a build begins.
    """
    names = frozenset(path for path, _, _ in TASKS)
    return names & {*words} if names & {*words[:1]} else names


def _namespace(meant: Container[str]) -> Collection:
    root = Collection()
    for path, verb, takes in TASKS:
        if path not in meant:
            continue
        folder, _, name = path.rpartition(".")
        if folder and folder not in root.collections:
            root.add_collection(Collection(folder))
        home = root.collections[folder] if folder else root
        home.add_task(task(commands.verb(verb), takes), name=name)
    return root


def _check(words: Sequence[str]) -> None:
    """Raise UsageError for a task or an option that there is not: Invoke names no near one.

    Args:
        words: the command line; options of Invoke itself may stand before the first task.
    """
    known = {path: takes for path, _, takes in TASKS}
    left = [*words]
    task_name = ""
    while left:
        word = left.pop(0)
        if word in known:
            task_name = word
        elif not task_name:
            raise options.unknown("unknown task", word, [*known], "invoke -l")
        elif word.startswith("-") and word != "-":  # a hyphen alone is standard input
            _check_option(word, left, task_name, known[task_name])
        elif not any(option.alone for option in known[task_name]):
            raise UsageError(f"{task_name}: takes no argument {word!r}, and no task has that name")


def _check_option(word: str, left: list[str], task_name: str, takes: Sequence[Option]) -> None:
    """Raise UsageError for an option that a task has not; take its value off what is left."""
    if word in {"-h", "--help"}:
        return
    name, equals, _ = word.partition("=")
    option = next((one for one in takes if f"--{one.name}" == name), None)
    if option is None:
        raise options.unknown_option(word, takes, task_name)
    if not option.flag and not equals:
        if not left:
            raise UsageError(f"{name}: needs a value")
        left.pop(0)


def _of_invoke(words: Sequence[str]) -> bool:
    """Return whether Invoke runs and what stands first is a task, and no option of Invoke's own."""
    program = Path(sys.argv[0])
    ours = program.name in {"invoke", "inv"} or program.parts[-2:] == ("invoke", "__main__.py")
    return ours and bool(words) and not words[0].startswith("-")


if _of_invoke(sys.argv[1:]):
    try:
        _check(sys.argv[1:])
    except UsageError as mistake:
        print(mistake, file=sys.stderr)
        sys.exit(mistake.exit_code)

namespace = _namespace(_meant(sys.argv[1:]))
