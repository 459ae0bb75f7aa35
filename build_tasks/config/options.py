"""Options of the verbs, and what a command line gave of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args

from build_tasks.config import loading
from build_tasks.config.parsing import Choice, Items
from build_tasks.config.settings import FIELDS, FORMER_SWITCHES, Field, Settings
from build_tasks.errors import UsageError

FORMATS = ("table", "markdown", "json", "junit", "html")
PROGRESS = ("auto", "plain", "tty", "quiet", "rawjson")
#: The largest number that an option takes.
LARGEST = 1000
#: Former names of options, which work with a note.
FORMER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "cache": "cache-mode",
        "clients": "prod-clients",
        "compression": "output-compression",
        "dev-apt-deps": "dependencies-apt-dev",
        "extras": "airflow-extras",
        "ignored": "context-ignored",
        "of": "record",
        "python-deps": "dependencies-python",
        "runtime-apt-deps": "dependencies-apt-runtime",
        "to": "record",
        "untracked": "context-untracked",
    }
)
#: Former flags, each with the option and the value in its place.
FORMER_FLAGS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        name: (new.replace(".", "-"), value)
        for old, (new, value, _) in FORMER_SWITCHES.items()
        for name in (old.replace(".", "-"), old.rpartition(".")[2])
    }
)
#: The groups of options in help.
Group = Literal["what", "where", "cache", "output", "run"]
GROUPS: tuple[Group, ...] = get_args(Group)
_GROUPS: Mapping[str, Group] = {
    **dict.fromkeys(("builder", "ca-bundle", "engine", "index", "registry", "repository"), "where"),
    "cache": "cache",
    **dict.fromkeys(("output", "reuse", "sbom"), "output"),
}


class Option(NamedTuple):
    """One option; without a metavar or choices it is a flag.

    Args:
        name: its name, without dashes.
        group: its group in help.
        help: what it does, and the default where it has one.
        metavar: the placeholder of its value in help.
        choices: the valid values, for help.
        several: it takes several values, separated by commas or by repeating the option.
        repeat: it may be repeated, and its values contain commas.
        positional: the value may stand alone, without the name.
        least: the value is an integer, at least this one.
        rest: its values are all words after `--`.
    """

    name: str
    group: Group
    help: str
    metavar: str = ""
    choices: Sequence[str] = ()
    several: bool = False
    repeat: bool = False
    positional: bool = False
    least: int | None = None
    rest: bool = False

    @property
    def flag(self) -> bool:
        """Whether it takes no value."""
        return not self.metavar and not self.choices

    @property
    def usage(self) -> str:
        """The option with the placeholder of its value."""
        value = f"{{{','.join(self.choices)}}}" if self.choices else self.metavar
        name = "" if self.positional else "-- " if self.rest else f"--{self.name} "
        return (
            f"{name}{value}{'[,...]' if self.several else ' ...' if self.repeat else ''}".rstrip()
        )


class Options(NamedTuple):
    """The options that a user gave to one verb, by name."""

    given: Mapping[str, str | bool | list[str] | None]

    def text(self, name: str) -> str | None:
        """Return the value of an option, None if it was not given."""
        value = self.given.get(name)
        return value if isinstance(value, str) else None

    def items(self, name: str) -> list[str]:
        """Return the values of an option that takes several."""
        return [item.strip() for item in (self.text(name) or "").split(",") if item.strip()]

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the values of an option that may be repeated, or takes the rest."""
        value = self.given.get(name)
        return tuple(value) if isinstance(value, list) else ()

    def number(self, name: str) -> int | None:
        """Return the integer that an option gives, None if it was not given."""
        text = self.text(name)
        return None if text is None else int(text)

    def flag(self, name: str) -> bool:
        """Return whether a flag was given."""
        return bool(self.given.get(name))

    def replace(self, values: Mapping[str, str | bool | list[str] | None]) -> Options:
        """Return the options with other values of some."""
        return Options({**self.given, **values})

    def settings(self) -> Settings:
        """Return the effective settings.

        Raises:
            UsageError: a value is wrong, whatever its origin.
        """
        return loading.load(self.given)


def collect(values: Mapping[str, Any], options: Sequence[Option]) -> Options:
    """Return the options that a parser read, from lists of values or values by name.

    Raises:
        UsageError: a number is wrong, or a former flag contradicts an option.
    """
    values = _present(values)
    given: dict[str, str | bool | list[str] | None] = {}
    for option in options:
        value = values.get(option.name)
        if not value:
            continue
        if isinstance(value, list) and not (option.repeat or option.rest):
            value = ",".join(value)
        if option.least is not None:
            _check_number(option.name, value, option.least)
        given[option.name] = True if option.flag else value
    return Options(given)


def _present(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the values with the options that have replaced former flags."""
    result = dict(values)
    for old, (new, value) in FORMER_FLAGS.items():
        if result.pop(old, None):
            if result.get(new):
                raise UsageError(f"--{old}: --{new} is given, too: leave one of them out")
            loading.renamed(f"--{old}", f"--{new} {value}")
            result[new] = [value]
    return result


def _check_number(name: str, text: str, least: int) -> None:
    digits = text.isascii() and text.isdecimal()
    if not digits or int(text[:20]) < least:
        raise UsageError(f"--{name}: expected an integer >= {least}, got {text[:40]!r}")
    if int(text[:20]) > LARGEST:
        raise UsageError(f"--{name}: expected an integer <= {LARGEST}, got {text[:40]!r}")


def _of_setting(setting: Field[Any]) -> Option:
    parse = setting.parse
    item = parse.item if isinstance(parse, Items) else parse
    default = f" (default: {setting.default})" if setting.default else ""
    flag = setting.default is False
    return Option(
        setting.name,
        _GROUPS.get(setting.key.partition(".")[0], "what"),
        setting.help + default,
        "" if flag else setting.metavar or setting.name.upper().rpartition("-")[2],
        tuple(map(str, item.values)) if isinstance(item, Choice) and not setting.metavar else (),
        several=isinstance(parse, Items),
        repeat=setting.repeat,
    )


#: The options that are settings.
SETTINGS = tuple(_of_setting(setting) for setting in FIELDS if setting.help)
