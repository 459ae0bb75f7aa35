"""The verbs: the function of `commands` that does the work, the options, and two examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

from build_tasks import process
from build_tasks.commands.output import reported
from build_tasks.config import options
from build_tasks.config.options import JSON, KIND, KINDS, PYTHON, SETTINGS, Option, Options


@dataclass(frozen=True)
class Verb:
    """One verb, which is a task of invoke and may be a session of nox.

    Args:
        function: its module and function, like `build.build`; imported only when it is run.
        options: the options that it takes.
        examples: options for two examples in help.
    """

    function: str
    options: Sequence[Option]
    examples: tuple[str, str]

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


_BUILD = ("--python 3.11", "--kind prod --python 3.11,3.12 --push --push-cache")
_SHOW = ("", "--json")
VERBS: Mapping[str, Verb] = {
    "bake": Verb("build.bake", (KINDS, PYTHON, *options.BUILD_OUTPUT), ("", "--kind ci --push")),
    "builder.create": Verb(
        "builders.create_builder", options.BUILDER_CREATE, ("", "--builder cached --recreate")
    ),
    "builder.inspect": Verb(
        "builders.inspect_builder", (JSON, *SETTINGS), ("--builder cached", "--json")
    ),
    "builder.list": Verb("builders.list_builders", (JSON, *SETTINGS), _SHOW),
    "builder.remove": Verb(
        "builders.remove_builder",
        options.BUILDER_REMOVE,
        ("--builder cached", "--builder cached --keep-cache"),
    ),
    "cache.prune": Verb(
        "caches.prune_cache", options.PRUNE, ("--dry-run", "--older 240h --max-used-space 20GB")
    ),
    "cache.push": Verb("build.push_cache", (KINDS, PYTHON, *options.BUILD), _BUILD),
    "cache.usage": Verb("caches.show_usage", options.USAGE, ("--local", "--remote --json")),
    "constraints.generate": Verb(
        "constraints.generate_constraints",
        (PYTHON, options.UPGRADE),
        ("--python 3.11", "--upgrade"),
    ),
    "engine.start": Verb("engine.start_engine", options.ENGINE_START, ("", "--emulate arm64")),
    "engine.status": Verb("engine.show_engine", (JSON,), _SHOW),
    "engine.stop": Verb("engine.stop_engine", options.ENGINE_STOP, ("", "--purge")),
    "image.build": Verb("build.build", (KINDS, PYTHON, *options.BUILD), _BUILD),
    "image.check": Verb("check.check_image", options.CHECK, ("", "--kind prod --remote --fail")),
    "image.explain": Verb(
        "check.explain_image", options.EXPLAIN, ("--record ci-3.11", "--from ci-3.10 --json")
    ),
    "image.load": Verb(
        "images.load_image",
        options.LOAD,
        ("prod-3.11-amd64.tar.zst", "ci.tar.zst --kind ci --python 3.11"),
    ),
    "image.merge": Verb(
        "build.merge_image",
        (KIND, PYTHON, *options.MERGE),
        ("--python 3.11", "--kind prod --python 3.11 --tag latest,3.3.2"),
    ),
    "image.push": Verb("build.push_image", (KINDS, PYTHON, *options.BUILD), _BUILD),
    "image.report": Verb(
        "reports.report_image", options.REPORT, ("--record ci-3.11", "--output report.html")
    ),
    "image.save": Verb(
        "images.save_image", options.SAVE, ("--python 3.11", "--python 3.11 --file ci.tar.zst")
    ),
    "image.verify": Verb(
        "images.verify_image", options.VERIFY, ("prod-3.11", "--python 3.11 --junit checks.xml")
    ),
    "matrix": Verb("reports.show_matrix", (JSON, *SETTINGS), _SHOW),
    "settings": Verb("reports.show_settings", (JSON, *SETTINGS), _SHOW),
}
BUILD_ALL = Verb(
    "build.build_all", (KINDS, PYTHON, *options.BUILD), ("--kind ci", "--push --push-cache")
)
