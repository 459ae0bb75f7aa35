"""Complete the console command: tasks, options, and the values that options can have here."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from argcomplete import autocomplete
from argcomplete.shell_integration import shellcode

from build_tasks.config import loading
from build_tasks.config.options import Option
from build_tasks.config.settings import Settings
from build_tasks.constraints import constraint_files, extras
from build_tasks.errors import ImagesError
from build_tasks.front.verbs import VERBS
from build_tasks.history import journal
from build_tasks.model.builder import DEDICATED, DEFAULT
from build_tasks.model.matrix import Platform
from build_tasks.text.hints import COMMAND


def script(shell: str) -> str:
    """Return the completion script of a shell: bash, zsh or fish."""
    return shellcode([COMMAND], shell=shell)


def answer() -> None:
    """Answer the shell, which ends the process."""
    parser = ArgumentParser(COMMAND)
    parser.add_argument("--file")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--version", action="store_true")
    tasks = parser.add_subparsers()
    for name, verb in VERBS.items():
        task = tasks.add_parser(name)
        for option in verb.named:
            _add(task, option)
    autocomplete(parser)


def values(option: Option, prefix: str, file: str | None) -> list[str]:
    """Return the values of an option that begin with a prefix.

    Args:
        option: the option.
        prefix: what is typed of the value; of several, the last one is completed.
        file: the settings file that the command line names.
    """
    found: Iterable[str] = option.choices
    if option.name in VALUES:
        try:
            found = VALUES[option.name](loading.load(file=Path(file) if file else None))
        except ImagesError:  # it is reported when the command runs
            found = ()
    given, comma, _ = prefix.rpartition(",") if option.several else ("", "", prefix)
    rest = [value for value in found if value not in given.split(",")]
    return [
        f"{given}{comma}{value}" for value in rest if f"{given}{comma}{value}".startswith(prefix)
    ]


def _add(task: ArgumentParser, option: Option) -> None:
    if option.flag:
        task.add_argument(f"--{option.name}", action="store_true")
        return
    name = option.name if option.positional else f"--{option.name}"
    argument = task.add_argument(name, action="append", nargs="?" if option.positional else None)
    if option.choices or option.name in VALUES:  # others are completed as files

        def completer(prefix: str, parsed_args: Namespace, **_: object) -> list[str]:
            return values(option, prefix, parsed_args.file)

        argument.completer = completer  # type: ignore[attr-defined]  # argcomplete's own


def _extras(settings: Settings) -> Sequence[str]:
    file = extras.path(settings.project, settings.airflow_version)
    return constraint_files.lines(file) if file.exists() else ()


def _records() -> Iterable[str]:
    records = journal.find(journal.LAST, announce=lambda _: None)
    return [journal.LAST, *journal.runs(), *(record.identity for record in records)]


#: The values of options that depend on the project.
VALUES: dict[str, Callable[[Settings], Iterable[str]]] = {
    **dict.fromkeys(("airflow-extras", "airflow-extras-add", "ci-extras"), _extras),
    "builder": lambda settings: {DEFAULT, DEDICATED, *settings.builders},
    "emulate": lambda _: [platform.architecture for platform in Platform],
    "from": lambda _: _records(),
    "image": lambda settings: [
        f"{name}-{python}" for name in settings.image_names for python in settings.pythons
    ],
    "kind": lambda settings: settings.image_names,
    "platform": lambda _: map(str, Platform),
    "python": lambda settings: settings.pythons,
    "record": lambda _: _records(),
}
