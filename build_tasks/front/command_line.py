"""Parse the options of one verb, and print its help."""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Sequence
from importlib import metadata
from typing import NoReturn

from build_tasks import console
from build_tasks.config.options import Group, Option, Options, collect
from build_tasks.config.parsing import unknown
from build_tasks.config.settings import ROOT
from build_tasks.errors import UsageError


def parse(
    name: str,
    options: Sequence[Option],
    words: Sequence[str],
    *,
    command: str = "",
    examples: Sequence[str] = (),
) -> Options:
    """Return the options that a command line gives.

    Args:
        name: the task or session, for errors.
        options: the options of the verb.
        words: the command line after the command.
        command: the command before the options, for help; the name by default.
        examples: options for examples in help.

    Raises:
        UsageError: an option is unknown, lacks its value or has one too many.
        SystemExit: after printing help or the version.
    """
    parser = _Parser(name, options, command or name, examples)
    if {"-h", "--help"} & {*words}:
        console.answer(parser.format_help(), end="")
        raise SystemExit(0)
    if "--version" in words:
        console.answer(version())
        raise SystemExit(0)
    return collect(vars(parser.parse_args(words)), options)


def unknown_option(word: str, options: Sequence[Option], place: str) -> UsageError:
    """Return the error for a word of a command line that is no option there."""
    name = word.partition("=")[0] if word.startswith("-") else word
    noun = "option" if word.startswith("-") else "argument"
    known = [f"--{option.name}" for option in options if not option.positional]
    return unknown(f"{place}: unknown {noun}", name, known, "-h")


def version() -> str:
    """Return the version of the project: of the installed package, else of the checkout."""
    try:
        return metadata.version("airflow-images")
    except metadata.PackageNotFoundError:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        return str(project["project"]["version"])


class _Parser(argparse.ArgumentParser):
    """A parser with options in groups, whose errors are one line."""

    def __init__(
        self, name: str, options: Sequence[Option], command: str, examples: Sequence[str]
    ) -> None:
        lines = [f"  {command} {example}".rstrip() for example in examples]
        super().__init__(
            prog=name,
            usage=f"{command} [OPTIONS]",
            epilog="\n".join(["examples:", *lines]) if lines else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self._known = options
        self.add_argument("--version", action="store_true", help="show the version and exit")
        groups = {group: self.add_argument_group(group) for group in Group}
        for option in options:
            _add(groups[option.group], option)

    def error(self, message: str) -> NoReturn:
        """Raise UsageError for a mistake that argparse found."""
        word = message.removeprefix("unrecognized arguments: ")
        if word != message:
            raise unknown_option(word.split(" ")[0], self._known, self.prog)
        match = re.fullmatch(r"argument (--[\w-]+)(?:/\S+)?: (.*)", message, re.DOTALL)
        if match and "expected one argument" in match[2]:
            raise UsageError(f"{match[1]}: needs a value")
        if match and "ignored explicit argument" in match[2]:
            raise UsageError(f"{match[1]}: takes no value")
        raise UsageError(f"{self.prog}: {message!r}")


def _add(group: argparse._ArgumentGroup, option: Option) -> None:
    text = option.help.replace("%", "%%")
    if option.positional:
        group.add_argument(option.name, nargs="?", help=text, metavar=option.metavar)
    elif option.flag:
        group.add_argument(f"--{option.name}", dest=option.name, help=text, action="store_true")
    else:
        action = "append" if option.several or option.repeat else "store"
        value = option.placeholder
        group.add_argument(
            f"--{option.name}", dest=option.name, help=text, action=action, metavar=value
        )
    if option.old_name:
        action = "store_true" if option.flag else "store"
        group.add_argument(
            f"--{option.old_name}", dest=option.old_name, help=argparse.SUPPRESS, action=action
        )
