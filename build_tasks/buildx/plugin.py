"""The buildx plugin: where docker would find it, and whether it is new enough."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path

from packaging.version import InvalidVersion, Version

from build_tasks import paths, process
from build_tasks.errors import EngineError, ImagesError, MissingProgram

#: The oldest buildx with --progress=rawjson; docs/engines.md says what newer ones add.
OLDEST = (0, 13)
INSTALL = "install Docker Engine 26 or newer with its buildx plugin"
#: Seconds for a plugin to say its version.
ANSWER = 20.0

#: Where docker/cli's cli-plugins/manager looks on Unix, after the user's own folder.
_FOLDERS = (
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)


def find(config: Path) -> Path | None:
    """Return the plugin that docker would use; `config` is the folder of its configuration."""
    for folder in (str(config / "cli-plugins"), *_FOLDERS):
        plugin = Path(folder, "docker-buildx")
        if plugin.is_file() and os.access(plugin, os.X_OK):
            return plugin
    on_path = shutil.which("docker-buildx") or shutil.which("buildx")
    return Path(on_path) if on_path else None


def check(plugin: Path) -> None:
    """Raise EngineError if a plugin is too old, or is no buildx."""
    actual = version(plugin)
    if actual < OLDEST:
        actual_text, oldest = (".".join(map(str, parts)) for parts in (actual, OLDEST))
        raise EngineError(
            f"buildx {actual_text} is too old: {oldest} or newer is needed: {INSTALL}"
        )


def version(plugin: Path) -> tuple[int, ...]:
    """Return the version of a plugin, which is kept until its file changes.

    Raises:
        MissingProgram: it cannot be started.
        EngineError: it is no buildx.
    """
    try:
        path = plugin.resolve()
        stat = path.stat()
    except OSError as error:
        raise MissingProgram(f"cannot start {plugin}: {error.strerror}") from None
    identity = f"{stat.st_size} {stat.st_mtime_ns}"
    file = paths.cache_folder() / "buildx-version.json"
    known = paths.read_json(file)
    with contextlib.suppress(KeyError, TypeError, ValueError):
        known_identity, numbers = known[str(path)]
        if known_identity == identity and numbers:
            return tuple(int(number) for number in numbers)
    numbers = _ask(plugin)
    with contextlib.suppress(OSError):  # then the next run asks again
        paths.write(file, json.dumps({**known, str(path): (identity, numbers)}))
    return numbers


def _ask(plugin: Path) -> tuple[int, ...]:
    try:
        # "github.com/docker/buildx 0.29.1+ds1 ...", with or without a v before the number
        words = process.run((str(plugin), "version"), timeout=ANSWER).stdout.split()
        return Version(words[1]).release
    except (IndexError, InvalidVersion):
        raise EngineError(f"{plugin} does not say its version as buildx does") from None
    except MissingProgram:
        raise
    except ImagesError as error:
        raise EngineError(f"{plugin} is no working buildx: {error}") from None
