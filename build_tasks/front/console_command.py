"""The console command `airflow-images`: the tasks, where a project has no tasks.py."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from build_tasks.front import startup

startup.end_on_interrupt()

from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.program import Program

from build_tasks import console
from build_tasks.config.options import Option
from build_tasks.config.parsing import Choice, unknown
from build_tasks.errors import ImagesError
from build_tasks.front import command_line, invoke_tasks
from build_tasks.front.verbs import VERBS
from build_tasks.text.hints import COMMAND

#: The shells that have completion.
SHELLS = ("bash", "zsh", "fish")
#: The options before the task.
OPTIONS = (
    Option("file", "what", "settings file (default: the nearest images.toml)", "FILE"),
    Option("print-completion-script", "what", "print the completion script", choices=SHELLS),
    Option("list", "what", "list the tasks"),
    Option("version", "what", "show the version and exit"),
    Option("help", "what", "show this help and exit; after a task, its options"),
)


class _Tasks(Program):
    """Invoke's program, with help on what is of use here."""

    def core_args(self) -> list[Argument]:
        """Return the options before the task."""
        return [*super().core_args(), Argument(names=("file",), help=OPTIONS[0].help)]

    def parse_core(self, argv: list[str] | None) -> None:
        """Parse the options before the task, and keep bytecode, which Invoke turns off."""
        super().parse_core(argv)
        for word in self.core.unparsed[:1]:  # a task, or an option that Invoke does not know
            if word.startswith("-"):
                known = [f"--{option.name}" for option in OPTIONS]
                error = unknown("unknown option", word, known)
                raise Exit(str(error), error.exit_code)
        sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))

    def print_help(self) -> None:
        """Print the usage, the options and the tasks."""
        console.answer(_help())

    def list_flat(self) -> None:
        """Print the tasks."""
        console.answer("\n".join(_tasks()))

    def no_tasks_given(self) -> None:
        """Print the help where no task is named."""
        self.print_help()


def main() -> None:
    """Run the tasks that the command line names."""
    if "_ARGCOMPLETE" in os.environ:
        from build_tasks.front import completion  # noqa: PLC0415 - for shells alone

        completion.answer()
        return
    try:
        words = command_line.take_file(sys.argv[1:])
        option, _, shell = "=".join(words[:2]).partition("=")
        if option == "--print-completion-script":
            console.answer(_completion_script(shell))
            return
    except ImagesError as error:
        console.message(str(error))
        sys.exit(error.exit_code)
    tasks = invoke_tasks.namespace(words=words)
    program = _Tasks(command_line.version(), tasks, COMMAND, COMMAND, binary_names=[COMMAND])
    program.run([COMMAND, *words])


def _completion_script(name: str) -> str:
    from build_tasks.front import completion  # noqa: PLC0415 - for shells alone

    return completion.script(Choice("shell", SHELLS)(name, "--print-completion-script"))


def _help() -> str:
    lines = [f"usage: {COMMAND} [--file FILE] TASK [OPTIONS] [TASK [OPTIONS] ...]", "", "options:"]
    for option in OPTIONS:
        lines += command_line.entry(option.usage, option.help)
    return "\n".join([*lines, "", "tasks:", *_tasks()])


def _tasks() -> Iterator[str]:
    """Yield the tasks with what they do."""
    for name, verb in VERBS.items():
        yield from command_line.entry(name, (verb.body.__doc__ or "").partition("\n")[0])
