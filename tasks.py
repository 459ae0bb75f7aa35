"""Tasks: `invoke image.build --python 3.11`; `invoke -l` lists them, `invoke -h TASK` explains."""

from __future__ import annotations

import inspect
import keyword
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

# Invoke has Python write no bytecode, and every run would compile the project anew.
sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))

from invoke.collection import Collection  # noqa: E402 - see above
from invoke.context import Context  # noqa: E402
from invoke.exceptions import Exit  # noqa: E402
from invoke.tasks import Task  # noqa: E402

from build_tasks import commands, options, process  # noqa: E402
from build_tasks.errors import ImagesError, Interrupted  # noqa: E402
from build_tasks.options import Option, Options  # noqa: E402

Verb = Callable[[Options], None]

TASKS: tuple[tuple[str, Verb, Sequence[Option]], ...] = (
    ("bake", commands.bake, options.BAKE),
    ("builder.create", commands.create_builder, options.BUILDER_CREATE),
    ("builder.inspect", commands.inspect_builder, options.SETTINGS_REPORT),
    ("builder.list", commands.list_builders, options.SETTINGS_REPORT),
    ("builder.remove", commands.remove_builder, options.BUILDER_REMOVE),
    ("cache.prune", commands.prune_cache, options.PRUNE),
    ("cache.push", commands.push_cache, options.SELECTED_BUILD),
    ("cache.usage", commands.show_usage, options.USAGE),
    ("constraints.generate", commands.generate_constraints, options.SELECTED_CONSTRAINTS),
    ("engine.start", commands.start_engine, options.ENGINE_START),
    ("engine.status", commands.show_engine, options.REPORT),
    ("engine.stop", commands.stop_engine, options.ENGINE_STOP),
    ("image.build", commands.build, options.SELECTED_BUILD),
    ("image.check", commands.check_image, options.CHECK),
    ("image.explain", commands.explain_image, options.EXPLAIN),
    ("image.load", commands.load_image, options.LOAD),
    ("image.merge", commands.merge_image, options.SELECTED_MERGE),
    ("image.push", commands.push_image, options.SELECTED_BUILD),
    ("image.report", commands.report_image, options.IMAGE_REPORT),
    ("image.save", commands.save_image, options.SAVE),
    ("image.verify", commands.verify_image, options.VERIFY),
    ("matrix", commands.show_matrix, options.SETTINGS_REPORT),
    ("settings", commands.show_settings, options.SETTINGS_REPORT),
)


def task(verb: Verb, takes: Sequence[Option]) -> Task[Callable[..., None]]:
    """Return the task that calls one verb with the options that it takes.

    Invoke reads a task's options from its signature, so the signature is made from the table.
    """

    def body(_context: Context, **given: Any) -> None:
        named = {option.name: given[_parameter(option)] for option in takes}
        try:
            with process.interruptible():
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


def _namespace() -> Collection:
    root = Collection()
    for path, verb, takes in TASKS:
        folder, _, name = path.rpartition(".")
        if folder and folder not in root.collections:
            root.add_collection(Collection(folder))
        home = root.collections[folder] if folder else root
        home.add_task(task(verb, takes), name=name)
    return root


namespace = _namespace()
