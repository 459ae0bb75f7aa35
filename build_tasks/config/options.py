"""The options of the verbs: one table, from which both front ends make theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from build_tasks.config import loading
from build_tasks.config.parsing import Choice, Items
from build_tasks.config.settings import FIELDS, Field, Settings
from build_tasks.model.matrix import ImageKind

FORMATS = ("table", "markdown", "json", "junit", "html")
PROGRESS = ("auto", "plain", "tty", "quiet", "rawjson")


class Group(StrEnum):
    """The groups of options in help."""

    WHAT = "what"
    WHERE = "where"
    CACHE = "cache"
    OUTPUT = "output"
    RUN = "run"


@dataclass(frozen=True)
class Option:
    """One option; without a metavar it is a flag.

    Args:
        name: its name, without dashes.
        group: its group in help.
        help: what it does, and the default where it has one.
        metavar: the placeholder of its value in help.
        choices: the valid values, for help.
        several: it takes several values, separated by commas or by repeating the option.
        repeat: it may be repeated, and its values contain commas.
        positional: the value stands alone, without the name.
        old_name: a former name, which still works.
    """

    name: str
    group: Group
    help: str
    metavar: str = ""
    choices: Sequence[str] = ()
    several: bool = False
    repeat: bool = False
    positional: bool = False
    old_name: str = ""

    @property
    def flag(self) -> bool:
        """Whether it takes no value."""
        return not self.metavar and not self.choices

    @property
    def placeholder(self) -> str:
        """The placeholder of the value in help."""
        value = f"{{{','.join(self.choices)}}}" if self.choices else self.metavar
        return f"{value}[,...]" if self.several else value


@dataclass(frozen=True)
class Options:
    """The options that a user gave to one verb, by name."""

    given: Mapping[str, str | bool | list[str] | None] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        """Return the value of an option, None if it was not given."""
        value = self.given.get(name)
        return value if isinstance(value, str) else None

    def items(self, name: str) -> list[str]:
        """Return the values of an option that takes several."""
        return [item.strip() for item in (self.text(name) or "").split(",") if item.strip()]

    def flag(self, name: str) -> bool:
        """Return whether a flag was given."""
        return bool(self.given.get(name))

    def settings(self) -> Settings:
        """Return the effective settings.

        Raises:
            UsageError: a value is wrong, whatever its origin.
        """
        return loading.load(self.given)


def collect(values: Mapping[str, object], options: Sequence[Option]) -> Options:
    """Return the options that a parser read; those that may be repeated are lists.

    Args:
        values: the values by name; former names are allowed.
        options: the options of the verb.
    """
    given: dict[str, str | bool | list[str] | None] = {}
    for option in options:
        value = values.get(option.name)
        if option.old_name and values.get(option.old_name):
            loading.renamed(f"--{option.old_name}", f"--{option.name}")
            value = values[option.old_name]
        if isinstance(value, list) and not option.repeat:
            value = ",".join(value) if value else None  # an empty value clears
        given[option.name] = value  # type: ignore[assignment]  # a parser's
    return Options(given)


_GROUPS = {
    **dict.fromkeys(("airflow", "base", "constraints", "dependencies", "prod"), Group.WHAT),
    **dict.fromkeys(("branch", "context", "platform"), Group.WHAT),
    "cache": Group.CACHE,
    **dict.fromkeys(("output", "sbom"), Group.OUTPUT),
}


def _of_setting(setting: Field) -> Option:
    several = isinstance(setting.parse, Items)
    parse = setting.parse.item if isinstance(setting.parse, Items) else setting.parse
    default = "" if setting.default in ("", (), None, False) else f" (default: {setting.default})"
    return Option(
        setting.name,
        _GROUPS.get(setting.key.partition(".")[0], Group.WHERE),
        setting.help + default,
        "" if setting.default is False else setting.metavar or setting.name.upper().split("-")[-1],
        tuple(map(str, parse.values)) if isinstance(parse, Choice) else (),
        several=several,
        repeat=setting.repeat,
        old_name=setting.old_option,
    )


SETTINGS = tuple(_of_setting(setting) for setting in FIELDS if setting.option)
_KINDS = tuple(map(str, ImageKind))
KIND = Option("kind", Group.WHAT, "image (default: ci)", choices=_KINDS)
KINDS = Option("kind", Group.WHAT, "images (default: ci)", choices=_KINDS, several=True)
PYTHON = Option("python", Group.WHAT, "Python versions", "X.Y", several=True)
TAG = Option("tag", Group.OUTPUT, "tag of the image (default: latest)", "TAG")
TAGS = Option("tag", Group.OUTPUT, "tags of the image (default: latest)", "TAG", several=True)
DIGESTS = Option(
    "digests", Group.OUTPUT, "folder of the digests to merge (default: dist/digests)", "FOLDER"
)
DRY_RUN = Option("dry-run", Group.RUN, "print the commands and start nothing")
JSON = Option("json", Group.OUTPUT, "print JSON")
RECORD = "last, a run, a build like ci-3.11, or a file"

#: The options of a build that change the image, its output or its cache.
BUILD_OUTPUT = (
    TAGS,
    Option("load", Group.OUTPUT, "load the image into the engine (the default)"),
    Option("push", Group.OUTPUT, "push the image to its registry"),
    Option("push-by-digest", Group.OUTPUT, "push the image without a tag, for a later merge"),
    Option("skip-unchanged", Group.OUTPUT, "with --push: tag an up-to-date image, build nothing"),
    Option("sbom", Group.OUTPUT, "with --push: attach an SBOM"),
    Option("build-id", Group.OUTPUT, "id of the build, for the image's labels", "ID"),
    Option("push-cache", Group.CACHE, "also write the cache to the registry"),
    Option("strict-cache", Group.CACHE, "fail, after the push, if a cache was not read or written"),
    *SETTINGS,
)
BUILD = (
    *BUILD_OUTPUT,
    DIGESTS,
    Option("progress", Group.RUN, "BuildKit's display (default: auto)", choices=PROGRESS),
    Option("jobs", Group.RUN, "concurrent builds (default: by nodes and cores)", "N"),
    Option("retries", Group.RUN, "retries after a transient error (default: 2)", "N"),
    Option("fail-fast", Group.RUN, "stop all builds when one fails"),
    DRY_RUN,
    Option("verbose", Group.RUN, "show the whole buildx command of each build"),
)
MERGE = (
    TAGS,
    DIGESTS,
    Option("commit", Group.WHAT, "commit of the digests (default: the checked out one)", "SHA"),
    DRY_RUN,
    *SETTINGS,
)
PRUNE = (
    Option("all", Group.WHAT, "also remove shared and internal records"),
    Option("older", Group.WHAT, "only what was not used for this time, like 24h", "TIME"),
    Option("type", Group.WHAT, "only records of this type, like exec.cachemount", "TYPE"),
    Option("max-used-space", Group.WHAT, "size that may be left, like 20GB", "SIZE"),
    Option("reserved-space", Group.WHAT, "size that is always kept, like 5GB", "SIZE"),
    Option("min-free-space", Group.WHAT, "free disk space to reach, like 10GB", "SIZE"),
    Option("dry-run", Group.RUN, "print what would be removed, and remove nothing"),
    JSON,
    *SETTINGS,
)
USAGE = (
    Option("local", Group.WHAT, "only the builders"),
    Option("remote", Group.WHAT, "only the cache references of the registry"),
    KIND,
    PYTHON,
    JSON,
    *SETTINGS,
)
VERIFY = (
    Option(
        "image", Group.WHAT, "a name or digest, or a build like prod-3.11", "IMAGE", positional=True
    ),
    KIND,
    PYTHON,
    TAG,
    Option("select", Group.RUN, "run only the checks that pytest's -k selects", "EXPRESSION"),
    Option("junit", Group.OUTPUT, "write the results as JUnit XML", "FILE"),
    JSON,
    *SETTINGS,
)
SAVE = (
    Option("file", Group.OUTPUT, "file to write (default: IDENTITY.tar.zst)", "FILE"),
    TAG,
    KIND,
    PYTHON,
    *SETTINGS,
)
LOAD = (
    Option("file", Group.WHAT, "file that image.save wrote", "FILE", positional=True),
    KIND,
    PYTHON,
    *SETTINGS,
)
BUILDER_CREATE = (
    Option("recreate", Group.RUN, "recreate a builder that differs, keeping its cache"),
    Option("drop-cache", Group.RUN, "with --recreate: drop its cache"),
    *SETTINGS,
)
BUILDER_REMOVE = (Option("keep-cache", Group.RUN, "keep the cache volume"), *SETTINGS)
CHECK_HOOK = (
    Option("kind", Group.WHAT, "images (default: both)", choices=_KINDS, several=True),
    Option("python", Group.WHAT, "Python versions (default: all)", "X.Y", several=True),
    TAG,
    Option("local", Group.WHERE, "check only the engine"),
    Option("remote", Group.WHERE, "check only the registry"),
    Option("fail", Group.RUN, "exit with code 13 if an image is out of date"),
    *SETTINGS,
)
CHECK = (*CHECK_HOOK, JSON)
# Not positional: invoke requires a positional argument, and the default is the last run.
EXPLAIN = (
    Option("record", Group.WHAT, f"{RECORD} (default: last)", "RECORD", old_name="to"),
    Option("from", Group.WHAT, f"compare with {RECORD} (default: the build before)", "RECORD"),
    JSON,
)
REPORT = (
    Option("record", Group.WHAT, f"{RECORD} or folder (default: last)", "RECORD", old_name="of"),
    Option("format", Group.OUTPUT, "format (default: by the file's suffix)", choices=FORMATS),
    Option("output", Group.OUTPUT, "file to write, like report.html (default: stdout)", "FILE"),
    JSON,
)
ENGINE_START = (
    Option("emulate", Group.RUN, "architectures to emulate, like arm64", "ARCH", several=True),
)
ENGINE_STOP = (Option("purge", Group.RUN, "also remove all data of the engine"),)
UPGRADE = Option("upgrade", Group.RUN, "take the newest versions instead of the pinned ones")
