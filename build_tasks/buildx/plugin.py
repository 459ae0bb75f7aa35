"""The buildx plugin: where docker would find it, and whether it is new enough."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path

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
    """Return the plugin that docker would use, None if there is none.

    Args:
        config: the user's folder of docker's configuration.
    """
    for folder in (str(config / "cli-plugins"), *_FOLDERS):
        plugin = Path(folder, "docker-buildx")
        if plugin.is_file() and os.access(plugin, os.X_OK):
            return plugin
    on_path = shutil.which("docker-buildx") or shutil.which("buildx")
    return Path(on_path) if on_path else None


def check(plugin: Path) -> None:
    """Refuse a plugin that is too old.

    Raises:
        EngineError: it is, or is no buildx.
    """
    found = version(plugin)
    if found < OLDEST:
        said, oldest = (".".join(map(str, parts)) for parts in (found, OLDEST))
        raise EngineError(f"buildx {said} is too old: {oldest} or newer is needed: {INSTALL}")


def version(plugin: Path) -> tuple[int, ...]:
    """Return the version of a plugin, which is asked once in its life.

    Raises:
        MissingProgram: it cannot be started.
        EngineError: it is no buildx.
    """
    known = paths.cache_folder() / "buildx-version.json"
    path = plugin.resolve()
    try:
        stat = path.stat()
    except OSError as error:
        raise MissingProgram(f"cannot start {plugin}: {error.strerror}") from None
    identity = f"{stat.st_size} {stat.st_mtime_ns}"
    try:
        kept = json.loads(known.read_text(encoding="utf-8"))
        when, said = kept[str(path)]
        found = tuple(int(number) for number in said)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        kept, when, found = {}, "", ()
    if when == identity and found:
        return found
    asked = _ask(plugin)
    with contextlib.suppress(OSError):  # then the next run asks again
        known.parent.mkdir(parents=True, exist_ok=True)
        paths.write(known, json.dumps({**kept, str(path): (identity, asked)}))
    return asked


def _ask(plugin: Path) -> tuple[int, ...]:
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415 - asked once

    try:
        # "github.com/docker/buildx 0.29.1+ds1 ...", with or without a v before the number
        said = process.run((str(plugin), "version"), timeout=ANSWER).stdout.split()
        return Version(said[1]).release
    except (IndexError, InvalidVersion):
        raise EngineError(f"{plugin} does not say its version as buildx does") from None
    except MissingProgram:
        raise
    except ImagesError as error:
        raise EngineError(f"{plugin} is no working buildx: {error}") from None
