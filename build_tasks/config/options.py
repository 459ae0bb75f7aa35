"""The options of every verb, in one table from which both front ends make theirs."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from build_tasks.config import settings
from build_tasks.config.fields import FIELDS
from build_tasks.errors import UsageError
from build_tasks.text.formatting import listed

#: Names that a line can list.
FEW = 12
FORMATS = ("table", "markdown", "json", "junit", "html")
PROGRESS = ("auto", "plain", "tty", "quiet", "rawjson")


@dataclass(frozen=True)
class Option:
    """One option, `--name TEXT`, for a flag `--name`, or what stands alone without its name.

    One that may be given several times has a list of texts.
    """

    name: str
    help: str
    flag: bool = False
    alone: bool = False
    several: bool = False


@dataclass(frozen=True)
class Options:
    """What a person gave to one verb; an option that was not given is None or False."""

    given: Mapping[str, str | bool | list[str] | None]

    def text(self, name: str) -> str | None:
        """Return the text of an option, None if it was not given."""
        value = self.given.get(name)
        return value if isinstance(value, str) else None

    def items(self, name: str) -> list[str]:
        """Return the items of an option that takes several with commas."""
        return [item.strip() for item in (self.text(name) or "").split(",") if item.strip()]

    def flag(self, name: str) -> bool:
        """Return whether a flag was given."""
        return bool(self.given.get(name))

    def settings(self) -> settings.Settings:
        """Return the effective settings, in which these options beat everything else.

        Raises:
            UsageError: a value is wrong, wherever it stands.
        """
        return settings.load(self.given)


SETTINGS = tuple(
    Option(item.option, item.help, flag=item.flag, several=item.several)
    for item in FIELDS
    if item.option
)
SELECTION = (
    Option("kind", "image: ci (the default) or prod"),
    Option("python", "Python version, or several with commas"),
)
MATRIX = (
    Option("kind", "image: ci, prod, or both with a comma"),
    SELECTION[1],
)
BUILD = (
    Option("tag", "tag of the image, or several with commas (default: latest)"),
    Option("load", "load the image into the engine (the default)", flag=True),
    Option("push", "push the image to its registry instead", flag=True),
    Option("skip-unchanged", "push: tag what the registry has, if that is the same", flag=True),
    Option("push-by-digest", "push the image without a tag, for a merge to tag it", flag=True),
    Option("digests", "folder for the digests that a merge joins (default: dist/digests)"),
    Option("push-cache", "write the cache to the registry, too", flag=True),
    Option("strict-cache", "fail, after the push, if a cache was not read or written", flag=True),
    Option("build-id", "id of the build, for the image's labels"),
    Option("sbom", "attest the contents of a pushed image, too", flag=True),
    Option("progress", f"BuildKit's display: {listed(PROGRESS)}"),
    Option("jobs", "builds that run at once (default: by the builder's nodes and the cores)"),
    Option("retries", "repetitions of a build that a registry or the network broke (default: 2)"),
    Option("fail-fast", "end all builds when one has failed", flag=True),
    Option("dry-run", "print the command and start nothing", flag=True),
    Option("verbose", "show the whole buildx command of each build", flag=True),
    *SETTINGS,
)
#: What says how builds are run, and not what is built.
_OF_A_RUN = frozenset({"progress", "jobs", "retries", "fail-fast", "dry-run", "digests", "verbose"})
CONSTRAINTS = (Option("upgrade", "take the newest versions, not those written down", flag=True),)
MERGE = (
    Option("tag", "tag of the merged image, or several with commas (default: latest)"),
    Option("digests", "folder with the digests to join (default: dist/digests)"),
    Option("commit", "commit that they have to be of (default: the one checked out)"),
    Option("dry-run", "print the command and start nothing", flag=True),
    *SETTINGS,
)
PRUNE = (
    Option("all", "remove also what images share, and what BuildKit keeps for itself", flag=True),
    Option("older", "remove only what was not used for this long, like 24h"),
    Option("type", "remove only what is of this type, like exec.cachemount or source.local"),
    Option("max-used-space", "remove the least used until no more than this is left, like 20GB"),
    Option("reserved-space", "keep this much in any case, like 5GB"),
    Option("min-free-space", "remove the least used until this much of the disk is free"),
    Option("dry-run", "say what would go, and remove nothing", flag=True),
    Option("json", "print JSON", flag=True),
    *SETTINGS,
)
USAGE = (
    Option("local", "only what builders keep", flag=True),
    Option("remote", "only the cache references of the registry", flag=True),
    Option("json", "print JSON", flag=True),
    Option("kind", "only the references of this image: ci or prod"),
    Option("python", "only those of this Python version, or of several with commas"),
    *SETTINGS,
)
VERIFY = (
    Option("image", "image to verify: a name or digest, or a build like prod-3.11", alone=True),
    *SELECTION,
    Option("tag", "tag of the image (default: latest)"),
    Option("junit", "file for the results in JUnit's form"),
    Option("select", "run only the checks that pytest's -k selects"),
    Option("json", "print the results as JSON", flag=True),
    *SETTINGS,
)
SAVE = (
    Option("file", "file to write (default: IDENTITY.tar.zst)"),
    Option("tag", "tag of the image (default: latest)"),
    *SELECTION,
    *SETTINGS,
)
LOAD = (Option("file", "file that image.save wrote", alone=True), *SELECTION, *SETTINGS)
BUILDER_CREATE = (
    Option("recreate", "make the builder anew where it differs, with its cache", flag=True),
    Option("drop-cache", "with --recreate: without its cache", flag=True),
    *SETTINGS,
)
BUILDER_REMOVE = (
    Option("keep-cache", "leave the cache for a builder of that name", flag=True),
    *SETTINGS,
)
CHECK = (
    Option("kind", "image: ci, prod, or both with a comma (default: both)"),
    Option("python", "Python version, or several with commas (default: all of images.toml)"),
    Option("tag", "tag of the image (default: latest)"),
    Option("local", "ask only the engine", flag=True),
    Option("remote", "ask only the registry", flag=True),
    Option("fail", "end with exit code 13 if an image is out of date", flag=True),
    Option("json", "print JSON", flag=True),
    *SETTINGS,
)
HOOK = tuple(option for option in CHECK if option.name != "json")
EXPLAIN = (
    # Named, because Invoke insists on what stands alone, and the last run is what people want.
    Option("to", "what to explain: a build like ci-3.11, a run, or a file (default: last)"),
    Option("from", "what to compare it with, in the same words (default: the build before)"),
    Option("json", "print JSON", flag=True),
)
REPORT = (Option("json", "print JSON", flag=True),)
IMAGE_REPORT = (
    # Named, because Invoke insists on what stands alone, and the last run is what people want.
    Option("of", "last (the default), a run, a build like ci-3.11, a file or a folder"),
    Option("format", f"{listed(FORMATS)} (default: what the output's name says, or table)"),
    Option("output", "file to write instead of printing, like report.html"),
    Option("json", "the same as --format json", flag=True),
)
SETTINGS_REPORT = (*REPORT, *SETTINGS)
ENGINE_START = (Option("emulate", "architectures to emulate, like arm64"),)
ENGINE_STOP = (Option("purge", "remove everything that the engine keeps, too", flag=True),)
# A session's name says what it builds; a task is told.
SELECTED_BUILD = (*MATRIX, *BUILD)
# A file for bake is printed, and starts nothing.
BAKE = (*MATRIX, *(one for one in BUILD if one.name not in _OF_A_RUN))
SELECTED_MERGE = (*SELECTION, *MERGE)
SELECTED_CONSTRAINTS = (SELECTION[1], *CONSTRAINTS)


def parse(program: str, options: Sequence[Option], arguments: Sequence[str]) -> Options:
    """Return what a command line says.

    Args:
        program: what the help calls this.
        options: the options that it takes.
        arguments: what stands after `--`.

    Raises:
        UsageError: an option is unknown, lacks its value, or has one too many.
        SystemExit: after printing the help that was asked for.
    """
    parser = _Parser(prog=program, options=options)
    for option in options:
        if option.alone:
            parser.add_argument(option.name, nargs="?", help=option.help)
            continue
        parser.add_argument(
            f"--{option.name}",
            dest=option.name,
            help=option.help.replace("%", "%%"),
            action="store_true" if option.flag else "append" if option.several else "store",
            **({} if option.flag else {"metavar": "TEXT"}),  # type: ignore[arg-type]  # argparse's kwargs
        )
    return Options(vars(parser.parse_args(arguments)))


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are ours: one line, with what would be valid."""

    def __init__(self, prog: str, options: Sequence[Option]) -> None:
        super().__init__(prog=prog, allow_abbrev=False)
        self._options = options

    def error(self, message: str) -> NoReturn:
        """Raise UsageError for a mistake that argparse found, in the words of this suite."""
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            raise unknown_option(unknown.split(" ")[0], self._options, self.prog)
        named = re.fullmatch(r"argument (--[\w-]+)(?:/\S+)?: (.*)", message, re.DOTALL)
        if named and "expected one argument" in named[2]:
            raise UsageError(f"{named[1]}: needs a value")
        if named and "ignored explicit argument" in named[2]:
            raise UsageError(f"{named[1]}: takes no value")
        raise UsageError(f"{self.prog}: {message!r}")


def unknown_option(word: str, options: Sequence[Option], place: str) -> UsageError:
    """Return the error for something on a command line that is no option there.

    Args:
        word: what stands there.
        options: the options that are known there.
        place: the session or task.
    """
    name, equals, _ = word.partition("=")
    known = [f"--{option.name}" for option in options if not option.alone]
    kind = "option" if word.startswith("-") else "argument"
    return unknown(f"{place}: unknown {kind}", name if equals else word, known, "-h")


def unknown(subject: str, word: str, known: Sequence[str], listing: str) -> UsageError:
    """Return the error for a name that nobody knows, with the nearest one, or those that are valid.

    Args:
        subject: what it was taken for, and where.
        word: the name.
        known: the valid names.
        listing: what lists them, where they are too many for a line.
    """
    near = difflib.get_close_matches(word[:80], known, n=1, cutoff=0.7)
    if near:
        hint = f"did you mean {near[0]}?"
    elif len(known) <= FEW:
        hint = f"choose {listed(known)}"
    else:
        hint = f"{listing} lists the valid ones"
    return UsageError(f"{subject} {word[:80]!r}: {hint}")
