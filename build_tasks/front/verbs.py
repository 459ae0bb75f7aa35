"""The verbs: the function of `commands` that does the work, two examples, and the options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

from build_tasks import process
from build_tasks.commands.output import reported
from build_tasks.config.options import FORMATS, PROGRESS, SETTINGS, Option, Options
from build_tasks.model.matrix import ImageKind


@dataclass(frozen=True)
class Verb:
    """One verb, which is a task of invoke and may be a session of nox.

    Args:
        function: its module and function, like `build.build`; imported only when it is run.
        examples: options for two examples in help.
        options: the options that it takes.
    """

    function: str
    examples: tuple[str, ...]
    options: tuple[Option, ...]

    @property
    def body(self) -> Callable[[Options], None]:
        """The function."""
        module, _, name = self.function.partition(".")
        function: Callable[[Options], None] = getattr(
            import_module(f"build_tasks.commands.{module}"), name
        )
        return function

    def run(self, given: Options) -> None:
        """Run the verb.

        Raises:
            ImagesError: it failed.
            Interrupted: a signal ended it.
        """
        with process.interruptible(), reported():
            self.body(given)


def _verb(function: str, examples: tuple[str, str], *options: Option) -> Verb:
    return Verb(function, examples, options)


_KINDS = tuple(map(str, ImageKind))
KIND = Option("kind", "what", "image (default: ci)", choices=_KINDS)
KINDS = Option("kind", "what", "images (default: ci)", choices=_KINDS, several=True)
PYTHON = Option("python", "what", "Python versions", "X.Y", several=True)
TAG = Option("tag", "output", "tag of the image (default: latest)", "TAG")
TAGS = Option("tag", "output", "tags of the image (default: latest)", "TAG", several=True)
DIGESTS = Option("digests", "output", "folder of digests (default: dist/digests)", "FOLDER")
DRY_RUN = Option("dry-run", "run", "print the commands and start nothing")
JSON = Option("json", "output", "print JSON")
RECORD = "last, a run, a build like ci-3.11, or a file"
#: The options of a build that change the image, its output or its cache.
BUILD_OUTPUT = (
    KINDS,
    PYTHON,
    TAGS,
    Option("load", "output", "load the image into the engine (the default)"),
    Option("push", "output", "push the image to its registry"),
    Option("push-by-digest", "output", "push the image without a tag, for a later merge"),
    Option("skip-unchanged", "output", "with --push: tag an up-to-date image, build nothing"),
    Option("sbom", "output", "with --push: attach an SBOM"),
    Option("build-id", "output", "id of the build, for the image's labels", "ID"),
    Option("push-cache", "cache", "also write the cache to the registry"),
    Option("strict-cache", "cache", "fail, after the push, if a cache was not read or written"),
    *SETTINGS,
)
BUILD = (
    *BUILD_OUTPUT,
    DIGESTS,
    Option("progress", "run", "BuildKit's display (default: auto)", choices=PROGRESS),
    Option("jobs", "run", "concurrent builds (default: by nodes and cores)", "N", least=1),
    Option("retries", "run", "retries after a transient error (default: 2)", "N", least=0),
    Option("fail-fast", "run", "stop all builds when one fails"),
    DRY_RUN,
    Option("verbose", "run", "show the whole buildx command of each build"),
)
_EXAMPLES = ("--python 3.11", "--kind prod --python 3.11,3.12 --push --push-cache")

VERBS: Mapping[str, Verb] = {
    "bake": _verb("build.bake", ("", "--kind ci --push"), *BUILD_OUTPUT),
    "builder.create": _verb(
        "builders.create_builder",
        ("", "--builder cached --recreate"),
        Option("recreate", "run", "recreate a builder that differs, keeping its cache"),
        Option("drop-cache", "run", "with --recreate: drop its cache"),
        *SETTINGS,
    ),
    "builder.inspect": _verb(
        "builders.inspect_builder", ("--builder cached", "--json"), JSON, *SETTINGS
    ),
    "builder.list": _verb("builders.list_builders", ("", "--json"), JSON, *SETTINGS),
    "builder.remove": _verb(
        "builders.remove_builder",
        ("--builder cached", "--builder cached --keep-cache"),
        Option("keep-cache", "run", "keep the cache volume"),
        *SETTINGS,
    ),
    "cache.prune": _verb(
        "caches.prune_cache",
        ("--dry-run", "--older 240h --max-used-space 20GB"),
        Option("all", "what", "also remove shared and internal records"),
        Option("older", "what", "only what was not used for this time, like 24h", "TIME"),
        Option("type", "what", "only records of this type, like exec.cachemount", "TYPE"),
        Option("max-used-space", "what", "size that may be left, like 20GB", "SIZE"),
        Option("reserved-space", "what", "size that is always kept, like 5GB", "SIZE"),
        Option("min-free-space", "what", "free disk space to reach, like 10GB", "SIZE"),
        Option("dry-run", "run", "print what would be removed, and remove nothing"),
        JSON,
        *SETTINGS,
    ),
    "cache.push": _verb("build.push_cache", _EXAMPLES, *BUILD),
    "cache.usage": _verb(
        "caches.show_usage",
        ("--local", "--remote --json"),
        Option("local", "what", "only the builders"),
        Option("remote", "what", "only the cache references of the registry"),
        KIND,
        PYTHON,
        JSON,
        *SETTINGS,
    ),
    "constraints.generate": _verb(
        "constraints.generate_constraints",
        ("--python 3.11", "--upgrade"),
        PYTHON,
        Option("upgrade", "run", "take the newest versions instead of the pinned ones"),
    ),
    "engine.start": _verb(
        "engine.start_engine",
        ("", "--emulate arm64"),
        Option("emulate", "run", "architectures to emulate, like arm64", "ARCH", several=True),
    ),
    "engine.status": _verb("engine.show_engine", ("", "--json"), JSON),
    "engine.stop": _verb(
        "engine.stop_engine",
        ("", "--purge"),
        Option("purge", "run", "also remove all data of the engine"),
    ),
    "image.build": _verb("build.build", _EXAMPLES, *BUILD),
    "image.check": _verb(
        "check.check_image",
        ("", "--kind prod --remote --fail"),
        Option("kind", "what", "images (default: both)", choices=_KINDS, several=True),
        Option("python", "what", "Python versions (default: all)", "X.Y", several=True),
        TAG,
        Option("local", "where", "check only the engine"),
        Option("remote", "where", "check only the registry"),
        Option("fail", "run", "exit with code 13 if an image is out of date"),
        JSON,
        *SETTINGS,
    ),
    "image.explain": _verb(
        "check.explain_image",
        ("--record ci-3.11", "--from ci-3.10 --json"),
        # Not positional: invoke requires a positional argument, and the default is the last run.
        Option("record", "what", f"{RECORD} (default: last)", "RECORD"),
        Option("from", "what", f"compare with {RECORD} (default: the build before)", "RECORD"),
        JSON,
    ),
    "image.load": _verb(
        "images.load_image",
        ("prod-3.11-amd64.tar.zst", "ci.tar.zst --kind ci --python 3.11"),
        Option("file", "what", "file that image.save wrote", "FILE", positional=True),
        KIND,
        PYTHON,
        *SETTINGS,
    ),
    "image.merge": _verb(
        "build.merge_image",
        ("--python 3.11", "--kind prod --python 3.11 --tag latest,3.3.2"),
        KIND,
        PYTHON,
        TAGS,
        DIGESTS,
        Option("commit", "what", "commit of the digests (default: the checked out one)", "SHA"),
        DRY_RUN,
        *SETTINGS,
    ),
    "image.push": _verb("build.push_image", _EXAMPLES, *BUILD),
    "image.report": _verb(
        "reports.report_image",
        ("--record ci-3.11", "--output report.html"),
        Option("record", "what", f"{RECORD} or folder (default: last)", "RECORD"),
        Option("format", "output", "format (default: by the file's suffix)", choices=FORMATS),
        Option("output", "output", "file to write, like report.html (default: stdout)", "FILE"),
        JSON,
    ),
    "image.save": _verb(
        "images.save_image",
        ("--python 3.11", "--python 3.11 --file ci.tar.zst"),
        Option("file", "output", "file to write (default: IDENTITY.tar.zst)", "FILE"),
        TAG,
        KIND,
        PYTHON,
        *SETTINGS,
    ),
    "image.verify": _verb(
        "images.verify_image",
        ("prod-3.11", "--python 3.11 --junit checks.xml"),
        Option("image", "what", "name, digest or build like prod-3.11", "IMAGE", positional=True),
        KIND,
        PYTHON,
        TAG,
        Option("select", "run", "run only the checks that pytest's -k selects", "EXPRESSION"),
        Option("junit", "output", "write the results as JUnit XML", "FILE"),
        JSON,
        *SETTINGS,
    ),
    "matrix": _verb("reports.show_matrix", ("", "--json"), JSON, *SETTINGS),
    "settings": _verb("reports.show_settings", ("", "--json"), JSON, *SETTINGS),
}
BUILD_ALL = _verb("build.build_all", ("--kind ci", "--push --push-cache"), *BUILD)
