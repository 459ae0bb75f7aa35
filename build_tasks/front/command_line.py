"""Parse the command lines of verbs, and print their help."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from importlib import metadata

from build_tasks import console, paths
from build_tasks.config import loading
from build_tasks.config.options import (
    FORMER_FLAGS,
    FORMER_NAMES,
    GROUPS,
    Option,
    Options,
    collect,
)
from build_tasks.config.parsing import unknown
from build_tasks.config.project import SHIPPED
from build_tasks.errors import UsageError
from build_tasks.front.verbs import Verb
from build_tasks.text.hints import FILE_VARIABLE

#: The column of the explanations in help.
_COLUMN = 24


def take_file(words: Sequence[str]) -> list[str]:
    """Return a command line without the leading `--file`, whose settings file is used from now on.

    Raises:
        UsageError: it has no value.
    """
    option, equals, name = (words[0] if words else "").partition("=")
    if option != "--file":
        return [*words]
    rest = words[1:]
    if not equals and rest:
        name, *rest = rest
    if not name:
        raise UsageError("--file: needs a value")
    os.environ[FILE_VARIABLE] = str(paths.expand_user(name).absolute())
    return [*rest]


def parse(verb: Verb, words: Sequence[str], place: str, command: str = "") -> Options:
    """Return the options that a command line gives.

    Args:
        verb: the verb.
        words: the command line after the command.
        place: the task or session, for errors; empty if the caller names it.
        command: the command before the options, for help; the place by default.

    Raises:
        UsageError: an option is unknown, lacks its value or has one too many.
        SystemExit: after printing help or the version.
    """
    options, rest = read(verb, words, place, command or place)
    if rest and verb.rest:
        return options.replace({verb.rest: [*rest]})
    if rest:
        raise _unknown(verb, "argument", rest[0], place, command or place)
    return options


def read(
    verb: Verb, words: Sequence[str], place: str, command: str
) -> tuple[Options, Sequence[str]]:
    """Return the options at the beginning of a command line, and the rest; else like `parse`.

    What follows `--` is an option of a verb that takes the rest.
    """
    arguments = [option.name for option in verb.options if option.positional]
    values: dict[str, list[str]] = {}
    rest = [*words]
    while rest and (_is_option(rest[0]) or arguments):
        word = rest.pop(0)
        if word == "--" and verb.rest:
            values[verb.rest], rest = rest, []
            break
        if not _is_option(word):
            values[arguments.pop(0)] = [word]
            continue
        if word in {"-h", "--help", "--version"}:
            console.answer(version() if word == "--version" else describe(verb, command))
            raise SystemExit(0)
        name, equals, value = word.partition("=")
        option = _option(verb, name, place, command)
        if option.flag and equals:
            raise UsageError(f"{name}: takes no value")
        if not (option.flag or equals):
            if not rest:
                raise UsageError(f"{name}: needs a value")
            value = rest.pop(0)
        if option.name in values and not (option.flag or option.several or option.repeat):
            raise UsageError(f"{name}: given twice")
        values.setdefault(option.name, []).append(value)
    return collect(values, verb.options), rest


def describe(verb: Verb, command: str) -> str:
    """Return the help of a verb, which stands after this command."""
    summary = (verb.body.__doc__ or "").partition("\n")[0]
    width = max(shutil.get_terminal_size().columns - 2, 30)
    usage = f"usage: {command} [OPTIONS]{' [-- COMMAND]' if verb.rest else ''}"
    lines = [usage, "", *textwrap.wrap(summary, width), "", "options:"]
    lines += entry("-h, --help", "show this help and exit")
    lines += entry("--version", "show the version and exit")
    for group in GROUPS:
        options = [option for option in verb.options if option.group == group]
        lines += ["", f"{group}:"] if options else []
        for option in options:
            lines += entry(option.usage, option.help)
    examples = [f"  {command} {example}".rstrip() for example in verb.examples]
    return "\n".join([*lines, "", "examples:", *examples])


def version() -> str:
    """Return the version of the project: of the installed package, else of the checkout."""
    try:
        return metadata.version("airflow-images")
    except metadata.PackageNotFoundError:
        project = paths.read_data(SHIPPED / "pyproject.toml")
        return str(project["project"]["version"])


def _is_option(word: str) -> bool:
    return word.startswith("-") and word != "-"  # a hyphen alone is standard input


def _option(verb: Verb, word: str, place: str, command: str) -> Option:
    """Return the option that has a name now or had it before."""
    name = word.removeprefix("--")
    for option in verb.named:
        if option.name == FORMER_FLAGS.get(name, ("",))[0]:
            return Option(name, option.group, "")  # collect() knows its value
        if option.name in {name, FORMER_NAMES.get(name)}:
            if option.name != name:
                loading.renamed(word, f"--{option.name}")
            return option
    if verb.rest and not word.startswith("--"):  # like pytest's -k
        subject = f"{place}: {word}" if place else word
        raise UsageError(f"{subject}: an option of the command follows it: COMMAND {word}")
    raise _unknown(verb, "option", word, place, command)


def _unknown(verb: Verb, noun: str, word: str, place: str, command: str) -> UsageError:
    subject = f"{place}: unknown {noun}" if place else f"unknown {noun}"
    known = [f"--{option.name}" for option in verb.named if not option.positional]
    return unknown(subject, word, known, f"`{command} -h`")


def entry(usage: str, text: str) -> Iterator[str]:
    """Yield the lines of one option or task in help."""
    start = f"  {usage}  "
    lines = textwrap.wrap(
        text, max(shutil.get_terminal_size().columns - _COLUMN - 2, 30), break_on_hyphens=False
    )
    if len(start) <= _COLUMN:
        start += " " * (_COLUMN - len(start)) + lines.pop(0)
    yield start.rstrip()
    yield from (" " * _COLUMN + line for line in lines)
