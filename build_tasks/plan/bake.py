"""The builds as a file for `docker buildx bake`, for those who have to build without this suite.

A target is read off the very command that the suite would run, so that the two cannot differ.
Bake gives up everything when one target fails, knows no retries, and loses the digests of what it
finished: for anything but handing a plan on, build with the suite.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build_tasks.errors import UsageError
from build_tasks.process import Command


@dataclass(frozen=True)
class _Word:
    """What an option of `buildx build` is in a target."""

    key: str
    into: Callable[[Any, str], Any]
    flag: str = ""  # what stands for the value of an option that takes none


def _one(_: Any, value: str) -> str:
    return value


def _each(so_far: list[str] | None, value: str) -> list[str]:
    return [*(so_far or []), value]


def _all(_: Any, value: str) -> list[str]:
    return value.split(",")


def _pair(so_far: dict[str, str] | None, value: str) -> dict[str, str]:
    name, _, text = value.partition("=")
    return {**(so_far or {}), name: text}


def _true(_: Any, __: str) -> bool:
    return True


def _provenance(so_far: list[str] | None, value: str) -> list[str]:
    switched = {"false": "disabled=true", "true": "mode=min"}.get(value, value)
    return [*(so_far or []), f"type=provenance,{switched}"]


def _sbom(so_far: list[str] | None, value: str) -> list[str]:
    return [*(so_far or []), f"type=sbom,{value}"]


_WORDS = {
    "--file": _Word("dockerfile", _one),
    "--platform": _Word("platforms", _all),
    "--pull": _Word("pull", _true, flag="true"),
    "--no-cache": _Word("no-cache", _true, flag="true"),
    "--target": _Word("target", _one),
    "--build-arg": _Word("args", _pair),
    "--label": _Word("labels", _pair),
    "--annotation": _Word("annotations", _each),
    "--build-context": _Word("contexts", _pair),
    "--secret": _Word("secret", _each),
    "--cache-from": _Word("cache-from", _each),
    "--cache-to": _Word("cache-to", _each),
    "--tag": _Word("tags", _each),
    "--output": _Word("output", _each),
    "--load": _Word("output", _each, flag="type=docker"),
    "--push": _Word("output", _each, flag="type=registry"),
    "--provenance": _Word("attest", _provenance),
    "--sbom": _Word("attest", _sbom),
    "--attest": _Word("attest", _each),
}
#: What is a whole run's and no target's.
_OF_THE_RUN = {"--builder", "--progress", "--metadata-file"}


def definition(builds: Sequence[tuple[str, Command]]) -> str:
    """Return the bake file of builds (JSON).

    Args:
        builds: identity and command of each.

    Raises:
        UsageError: a build is one that bake has no words for.
    """
    targets = {name(identity): target(identity, command) for identity, command in builds}
    said = {"group": {"default": {"targets": [*targets]}}, "target": targets}
    return json.dumps(said, indent=2)


def name(identity: str) -> str:
    """Return a target's name: bake takes no dots in one."""
    return identity.replace(".", "_")


def target(identity: str, command: Command) -> dict[str, Any]:
    """Return what bake has to be told to do the same as a command of `buildx build`.

    Raises:
        UsageError: an option of the command has no counterpart.
    """
    made: dict[str, Any] = {"description": identity}
    words = iter(command[command.index("build") + 1 : -1])
    for word in words:
        if word in _OF_THE_RUN:
            next(words)
            continue
        known = _WORDS.get(word)
        if known is None:
            raise UsageError(f"{identity}: bake has nothing that does what {word} does")
        value = known.flag or next(words)
        made[known.key] = known.into(made.get(known.key), value)
    # Bake would make a build argument of the variable, which repeats steps for each value.
    made["args"] = {"SOURCE_DATE_EPOCH": "", **made.get("args", {})}
    return {key: _literal(value) for key, value in {**made, "context": command[-1]}.items()}


def reads(builds: Sequence[tuple[str, Command]]) -> list[Path]:
    """Return the files and folders that builds read, without those that lie in another one."""
    found: set[Path] = set()
    for identity, command in builds:
        said = target(identity, command)
        found |= {Path(said["context"]), Path(said["dockerfile"])}
        found |= {Path(path) for path in said.get("contexts", {}).values() if path[:1] == "/"}
        for secret in said.get("secret", []):
            found.add(Path(secret.partition("src=")[2].strip('"').replace('""', '"')))
    return [path for path in sorted(found) if not set(path.parents) & found]


def _literal(value: Any) -> Any:
    """Return a value in whose texts bake finds nothing to fill in (HCL's templates)."""
    if isinstance(value, str):
        return value.replace("${", "$${").replace("%{", "%%{")
    if isinstance(value, list):
        return [_literal(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _literal(item) for key, item in value.items()}
    return value
