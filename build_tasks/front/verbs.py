"""The verbs: the function of `commands` that does the work, two examples, and the options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from build_tasks import process
from build_tasks.commands.output import reported
from build_tasks.config.options import FORMATS, PROGRESS, SETTINGS, Option, Options


class Verb:
    """One verb, which is a task of invoke and may be a session of nox.

    Args:
        function: its module and function, like `build.build`; imported only when it is run.
        examples: options for two examples in help.
        options: the options that it takes.
    """

    def __init__(self, function: str, examples: Sequence[str], *options: Option) -> None:
        self.function = function
        self.examples = examples
        self.options = options
        #: The options that have a name on the command line.
        self.named = tuple(option for option in options if not option.rest)
        #: The name of the option that takes what follows `--`; "" if there is none.
        self.rest = next((option.name for option in options if option.rest), "")

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


#: The images that the settings define besides are known only where these are read.
_IMAGE = "ci, prod, or an image of images.toml"
IMAGES = (
    Option("kind", "what", f"{_IMAGE} (default: ci)", "IMAGE", several=True),
    Option("python", "what", "Python versions (required)", "X.Y", several=True),
)
KIND = Option("kind", "what", f"{_IMAGE} (default: ci)", "IMAGE")
IMAGE = (KIND, Option("python", "what", "Python version (required)", "X.Y"))
ALL_PYTHONS = Option("python", "what", "Python versions (default: all)", "X.Y", several=True)
ALL_IMAGES = (
    Option("kind", "what", f"{_IMAGE} (default: all)", "IMAGE", several=True),
    ALL_PYTHONS,
)
TAG = Option("tag", "output", "tag of the image (default: latest)", "TAG")
TAGS = Option("tag", "output", "tags of the image (default: latest)", "TAG", several=True)
DIGESTS = Option("digests", "output", "folder of digest files (default: dist/digests)", "FOLDER")
DRY_RUN = Option("dry-run", "run", "print the commands and start nothing")
JSON = Option("json", "output", "print JSON")
SHOWN = (JSON, *SETTINGS)
#: The settings of uv and of what it reads.
INDEXES = tuple(
    option
    for option in SETTINGS
    if option.name.startswith(("index-", "uv-")) or option.name == "ca-bundle"
)
#: The settings of a checkout that a CI image installs.
SOURCES = tuple(
    option
    for option in SETTINGS
    if option.name in {"ci-from", "ci-distributions", "ci-groups", "ci-extras"}
)
RECORD = "last, a run, a build like ci-3.11, or a file"
#: The options of a build that change the image, its output or its cache.
BUILD_OUTPUT = (
    TAGS,
    Option("load", "output", "load the image into the engine (the default)"),
    Option("push", "output", "push the image to its registry"),
    Option("push-by-digest", "output", "push the image without a tag, for image.merge"),
    Option("skip-unchanged", "output", "with --push: tag an up-to-date image, build nothing"),
    Option("sbom", "output", "with --push: attach an SBOM"),
    Option("build-id", "output", "id of the build, for the image's labels", "ID"),
    Option("push-cache", "cache", "also write the cache to the registry"),
    Option("strict-cache", "cache", "fail, after the push, if a cache was not read or written"),
    *SETTINGS,
)
BUILD_OPTIONS = (
    *BUILD_OUTPUT,
    DIGESTS,
    Option("progress", "run", "display of the build (default: auto)", choices=PROGRESS),
    Option("jobs", "run", "concurrent builds (default: by nodes and cores)", "N", least=1),
    Option("retries", "run", "retries after a transient error (default: 2)", "N", least=0),
    Option("fail-fast", "run", "stop all builds when one fails"),
    DRY_RUN,
    Option("verbose", "run", "show the whole buildx command of each build"),
)
BUILD = (*IMAGES, *BUILD_OPTIONS)
#: The options of a container in the foreground.
RUN = (
    TAG,
    Option("no-build", "run", "run an image that is out of date, and say so"),
    Option(
        "port", "run", "port to publish, like 8080, 8080:80, 0.0.0.0:80:80", "PORT", repeat=True
    ),
    Option(
        "env", "run", "variable; NAME alone has the caller's value", "NAME[=VALUE]", repeat=True
    ),
    Option("mount", "run", "file or folder to mount, like data:/data:ro", "PATH:PATH", repeat=True),
    Option("progress", "run", "display of a build (default: auto)", choices=PROGRESS),
    Option("verbose", "run", "show the commands of docker and buildx"),
    *SETTINGS,
    Option("command", "run", "command to run (default: that of the image)", "COMMAND", rest=True),
)
_EXAMPLES = ("--python 3.11", "--kind prod --python 3.11,3.12 --push --push-cache")

VERBS: Mapping[str, Verb] = {
    "base.check": Verb(
        "base_images.check_base_images",
        ("", "--python 3.11 --json"),
        ALL_PYTHONS,
        Option("fail", "run", "exit with code 13 if a base image has moved"),
        *SHOWN,
    ),
    "base.update": Verb(
        "base_images.update_base_images",
        ("", "--python 3.11"),
        ALL_PYTHONS,
        *SHOWN,
    ),
    "bake": Verb("build.bake", ("", "--kind ci --push"), *ALL_IMAGES, *BUILD_OUTPUT),
    "builder.create": Verb(
        "builders.create_builder",
        ("", "--builder cached --recreate"),
        Option("recreate", "run", "recreate a builder that differs, keeping its cache"),
        Option("drop-cache", "run", "with --recreate: drop its cache"),
        *SETTINGS,
    ),
    "builder.inspect": Verb("builders.inspect_builder", ("--builder cached", "--json"), *SHOWN),
    "builder.list": Verb("builders.list_builders", ("", "--json"), *SHOWN),
    "builder.remove": Verb(
        "builders.remove_builder",
        ("--builder cached", "--builder cached --keep-cache"),
        Option("keep-cache", "run", "keep the cache volume"),
        *SETTINGS,
    ),
    "cache.prune": Verb(
        "caches.prune_cache",
        ("--dry-run", "--older 240h --max-used-space 20GB"),
        Option("all", "what", "also remove shared and internal records"),
        Option("older", "what", "only records that were not used for this time, like 24h", "TIME"),
        Option("type", "what", "only records of this type, like exec.cachemount", "TYPE"),
        Option("max-used-space", "what", "upper limit of what is left, like 20GB", "SIZE"),
        Option("reserved-space", "what", "size that is always kept, like 5GB", "SIZE"),
        Option("min-free-space", "what", "free disk space to reach, like 10GB", "SIZE"),
        Option("dry-run", "run", "print what would be removed, and remove nothing"),
        *SHOWN,
    ),
    "cache.push": Verb("build.push_cache", _EXAMPLES, *BUILD),
    "cache.usage": Verb(
        "caches.show_usage",
        ("--local", "--remote --json"),
        Option("local", "what", "only the builders"),
        Option("remote", "what", "only the cache references of the registry"),
        Option("kind", "what", f"{_IMAGE} (default: all)", "IMAGE"),
        ALL_PYTHONS,
        *SHOWN,
    ),
    "constraints.generate": Verb(
        "constraints.generate_constraints",
        ("--python 3.11", "--from-sources --ci-from ../airflow --python 3.11"),
        ALL_PYTHONS,
        Option("from-sources", "what", "what the sources of ci.from require, instead of a release"),
        Option("upgrade", "run", "take the newest versions instead of the pinned ones"),
        Option("json", "output", "print the changes from sources as JSON"),
        *SOURCES,
        *INDEXES,
    ),
    "engine.start": Verb(
        "engine.start_engine",
        ("", "--emulate arm64"),
        Option("emulate", "run", "architectures to emulate, like arm64", "ARCH", several=True),
    ),
    "engine.status": Verb("engine.show_engine", ("", "--json"), JSON),
    "engine.stop": Verb(
        "engine.stop_engine",
        ("", "--purge"),
        Option("purge", "run", "also remove all data of the engine"),
    ),
    "image.build": Verb("build.build", _EXAMPLES, *BUILD),
    "image.check": Verb(
        "check.check_image",
        ("", "--kind prod --remote --fail"),
        *ALL_IMAGES,
        TAG,
        Option("local", "where", "check only the engine"),
        Option("remote", "where", "check only the registry"),
        Option("fail", "run", "exit with code 13 if an image is out of date"),
        *SHOWN,
    ),
    "image.explain": Verb(
        "check.explain_image",
        ("--record ci-3.11", "--from ci-3.10 --json"),
        # Not positional: invoke requires a positional argument, and the default is the last run.
        Option("record", "what", f"{RECORD} (default: last)", "RECORD"),
        Option("from", "what", f"compare with {RECORD} (default: the build before)", "RECORD"),
        JSON,
    ),
    "image.load": Verb(
        "images.load_image",
        ("prod-3.11-amd64.tar.zst", "--from github:1234567890/ci-image --kind ci --python 3.11"),
        Option("file", "what", "file that image.save wrote", "FILE", positional=True),
        Option("from", "what", "a file, https://..., or github:[OWNER/REPO/]RUN[/NAME]", "SOURCE"),
        Option("kind", "what", "load the file only if it has this image", "IMAGE"),
        Option("python", "what", "load it only if it is for one of these", "X.Y", several=True),
        *SETTINGS,
    ),
    "image.merge": Verb(
        "build.merge_image",
        ("--python 3.11", "--kind prod --python 3.11 --tag latest,3.3.2"),
        KIND,
        IMAGES[1],
        TAGS,
        DIGESTS,
        Option("commit", "what", "commit of the digest files (default: git HEAD)", "SHA"),
        DRY_RUN,
        *SETTINGS,
    ),
    "image.push": Verb("build.push_image", _EXAMPLES, *BUILD),
    "image.report": Verb(
        "reports.report_image",
        ("--record ci-3.11", "--output report.html"),
        Option("record", "what", f"{RECORD} or folder (default: last)", "RECORD"),
        Option("format", "output", "format (default: by the file's suffix)", choices=FORMATS),
        Option("output", "output", "file to write, like report.html (default: stdout)", "FILE"),
        JSON,
    ),
    "image.run": Verb(
        "run.run_image", ("--python 3.11", "--python 3.11 -- pytest tests -k x"), *IMAGE, *RUN
    ),
    "image.save": Verb(
        "images.save_image",
        ("--python 3.11", "--python 3.11 --file ci.tar.zst"),
        Option("file", "output", "file to write (default: IDENTITY.tar.zst)", "FILE"),
        TAG,
        *IMAGE,
        *SETTINGS,
    ),
    "image.verify": Verb(
        "images.verify_image",
        ("prod-3.11 --junit checks.xml", "apache/airflow:3.3.2 --contract"),
        Option("image", "what", "name, digest or build like prod-3.11", "IMAGE", positional=True),
        KIND,
        Option("python", "what", "Python version (required without IMAGE)", "X.Y"),
        TAG,
        Option("select", "run", "run only the checks that pytest's -k selects", "EXPRESSION"),
        Option("contract", "run", "check what Airflow documents of its image, for any image"),
        Option("junit", "output", "write the results as JUnit XML", "FILE"),
        *SHOWN,
    ),
    "init": Verb("init.init_project", ("",)),
    "matrix": Verb("reports.show_matrix", ("", "--json"), *SHOWN),
    "settings": Verb(
        "reports.show_settings",
        ("", "--schema"),
        Option("schema", "output", "print the JSON Schema of images.toml instead"),
        *SHOWN,
    ),
}
#: Sessions: a shell, and tests, in a container.
SHELL = Verb("run.open_shell", ("", "--port 8080 airflow standalone"), *IMAGE, *RUN)
TEST = Verb("run.run_tests", ("pytest tests -k x", "--sources mount pytest tests"), *IMAGE, *RUN)
BUILD_ALL = Verb(
    "build.build_all", ("--kind ci", "--push --push-cache"), *ALL_IMAGES, *BUILD_OPTIONS
)
