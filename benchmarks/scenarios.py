"""What is measured: the scenarios, what each changes before it builds, and whom it compares."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

#: A small package of the image and an earlier release of it that satisfies everything else.
PIN = ("termcolor", "3.2.0")
#: A small Debian package that the image does not have.
APT_PACKAGE = "jq"
EDITED = Path("sources/dags/smoke.py")


class Peer(StrEnum):
    """Who builds."""

    RAW = "raw"
    COPIED = "raw-copied"
    BAKE = "bake"
    WHALES = "python-on-whales"
    CLASSIC = "classic"
    SAME = "same-command"
    PLUGIN = "same-plugin"
    START = "invoke-start"
    INVOKE = "invoke"
    NOX = "nox"


TITLES = {
    Peer.RAW: "`docker buildx build`, one dependency layer",
    Peer.COPIED: "the same, sources copied before the install",
    Peer.BAKE: "`docker buildx bake`",
    Peer.WHALES: "python-on-whales",
    Peer.CLASSIC: "classic builder, pull then build",
    Peer.SAME: "`docker buildx build` with invoke's own arguments",
    Peer.PLUGIN: "the same command, run by the plugin itself",
    Peer.START: "`invoke --version`, which builds nothing",
    Peer.INVOKE: "`invoke image.build`",
    Peer.NOX: "`nox -s build_ci-3.11`",
}
#: Those that push an image and have a repository of their own.
PUSHING = (Peer.RAW, Peer.BAKE, Peer.WHALES, Peer.CLASSIC, Peer.INVOKE)


@dataclass(frozen=True)
class Scenario:
    """One situation in which all peers build.

    Args:
        name: what `--scenarios` calls it.
        title: what the table calls it.
        peers: who is compared.
        rounds: how often each builds, unless `--rounds` says it.
        pushes: the image is pushed and its cache exported, from an emptied builder; otherwise the
            builder has everything and the image stays on the engine.
        cold: the registry is empty, too.
        edits: a source file changes.
        pins: one pin of the constraints changes.
        package: one Debian package is added.
    """

    name: str
    title: str
    peers: tuple[Peer, ...] = PUSHING
    rounds: int = 1
    pushes: bool = True
    cold: bool = False
    edits: bool = False
    pins: bool = False
    package: str = ""


#: `matrix`, a matrix of builds beside one bake and as many builds in a row, belongs here as well.
SCENARIOS = (
    Scenario(
        "no-op",
        "No-op: the builder has everything, nothing is pushed",
        peers=(
            *(Peer.RAW, Peer.BAKE, Peer.WHALES, Peer.CLASSIC),
            *(Peer.SAME, Peer.PLUGIN, Peer.START, Peer.INVOKE, Peer.NOX),
        ),
        rounds=9,
        pushes=False,
    ),
    Scenario(
        "cold", "Cold: builder and registry are empty", peers=(*PUSHING, Peer.COPIED), cold=True
    ),
    Scenario("unchanged", "Nothing changed, on an empty builder"),
    Scenario(
        "source", "A source file edited, on an empty builder", (*PUSHING, Peer.COPIED), edits=True
    ),
    Scenario("pin", "One pin bumped, on an empty builder", pins=True),
    Scenario("apt", "One Debian package added, on an empty builder", package=APT_PACKAGE),
)
NAMES = tuple(scenario.name for scenario in SCENARIOS)


def changes(scenario: Scenario, checkout: Path, python: str) -> dict[Path, str]:
    """Return the files that a scenario changes, with their new text.

    Args:
        scenario: the scenario.
        checkout: the folder that is built from.
        python: the image's Python.

    Raises:
        ValueError: the pin to be changed is not there, or as it would be changed to.
    """
    changed: dict[Path, str] = {}
    if scenario.edits:
        path = checkout / EDITED
        changed[path] = path.read_text(encoding="utf-8") + "\n# edited\n"
    if scenario.pins:
        path = checkout / "constraints" / f"constraints-{python}.txt"
        changed[path] = _bumped(path.read_text(encoding="utf-8"))
    return changed


def _bumped(text: str) -> str:
    package, release = PIN
    lines = text.splitlines(keepends=True)
    found = [line for line in lines if line.startswith(f"{package}==")]
    if len(found) != 1 or found[0].strip() == f"{package}=={release}":
        raise ValueError(f"constraints: no pin of {package} other than {release}: choose another")
    return text.replace(found[0], f"{package}=={release}\n")
