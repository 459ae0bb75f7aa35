"""A CI image from a checkout of Airflow: what is installed of it, and the files that it has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from build_tasks import paths
from build_tasks.config.settings import Settings
from build_tasks.constraints import conflicts, constraint_files, extras, tree, workspace
from build_tasks.constraints.tree import Selection
from build_tasks.constraints.workspace import Workspace
from build_tasks.errors import UsageError
from build_tasks.inputs import layers
from build_tasks.inputs.context import Allowed, Prepared
from build_tasks.model.matrix import ImageKind
from build_tasks.plan import airflow_checkout
from build_tasks.plan.airflow_source import CHECKOUT, Installation
from build_tasks.process import Announce
from build_tasks.text import hints
from build_tasks.text.formatting import listed, plural

#: The build contexts that replace stages of the Dockerfile.
METADATA, CONSTRAINTS, SOURCES, CHANGES = "metadata", "constraints", "sources", "changes"
#: The files in them, beside the metadata.
REQUIREMENTS, PINS = "requirements.txt", "constraints.txt"
#: Where a CI image has the checkout, or where it is mounted.
FOLDER = f"/opt/{layers.NAME}"
#: Folders of user interfaces, and below them those that compiling makes, which git ignores.
_INTERFACES = {
    "airflow-core/src/airflow/ui": "dist",
    "airflow-core/src/airflow/api_fastapi/auth/managers/simple/ui": "dist",
    "airflow/www": "static/dist",
}
#: Further files that builds and hooks make in a checkout, and that git ignores; tests read them.
_GENERATED = ("airflow-core/src/airflow/git_version", "airflow/git_version", "generated/*")


def folder(settings: Settings, announce: Announce) -> Path:
    """Return the folder of the checkout that the settings name; a git reference is fetched.

    Raises:
        UsageError: there is no such folder or reference.
        NetworkError: the repository cannot be fetched.
        MissingProgram: git is not installed.
    """
    place, start = settings.origins["ci.from"], settings.path("ci.from", ".")
    root = airflow_checkout.locate(settings.ci_from, place, announce, start)
    if not settings.ci_from or not root.is_dir():
        raise UsageError(
            f"{place}: there is no folder {settings.ci_from!r}: choose release, a folder of "
            "Airflow's sources, or git+URL@REF"
        )
    return root


def read(settings: Settings, announce: Announce) -> Workspace:
    """Return the checkout that the settings name; what it lacks is announced.

    Raises:
        UsageError: there is no such folder or reference, or a pyproject.toml in it is unusable.
        NetworkError: the repository cannot be fetched.
        MissingProgram: git is not installed.
    """
    checkout, place = workspace.read(folder(settings, announce)), settings.origins["ci.from"]
    warn_of_missing(checkout, place, announce)
    _warn_of_interfaces(checkout, place, announce)
    return checkout


def find(checkout: Workspace, settings: Settings, python: str, announce: Announce) -> Installation:
    """Return the installation of a checkout in the CI image of a Python.

    Raises:
        UsageError: the checkout, the settings for it, or the constraints are unusable.
    """
    selection = tree.select(settings, checkout, python)
    if names := [distribution.name for distribution in selection.unsupported]:
        place = settings.origins["ci.from"]
        announce(
            f"warning: {place}: left out, for they do not support Python {python}: {listed(names)}"
        )
    if selection.provided:
        extras.compare(settings, python, selection.provided, ImageKind.CI)
    constraints = constraint_files.path(settings.project, python, constraint_files.FROM_SOURCES)
    pins = _pins(selection, constraints, python, announce)
    requirements = "".join(f"{line}\n" for line in selection.lines(FOLDER))
    metadata = {f"checkout/{path}": content for path, content in selection.metadata().items()}
    return Installation(
        CHECKOUT,
        selection.airflow,
        constraints,
        {
            METADATA: paths.keep(METADATA, {**metadata, REQUIREMENTS: requirements.encode()}),
            CONSTRAINTS: paths.keep(CONSTRAINTS, {PINS: pins.encode()}),
        },
        frozenset(selection.distributions),
        selection.extras,
    )


def prepare(checkout: Workspace, settings: Settings, announce: Announce) -> Mapping[str, Prepared]:
    """Return the build contexts with the files of a checkout, none if it is mounted.

    Raises:
        UsageError: a file cannot be read.
        DiskError: there is no space for a snapshot.
        ImagesError: files change faster than they can be read.
    """
    if settings.sources == "mount":
        return {}
    root = checkout.root
    allowed = Allowed(settings.context_untracked, settings.context_ignored)
    made = {path: root / path for path in _generated(root)}
    # The commits of one repository are in folders of their own.
    repository = settings.ci_from.rpartition("@")[0] if settings.ci_from.startswith("git+") else ""
    found = layers.prepare(root, allowed, announce, made, key=repository)
    return {SOURCES: found.base, CHANGES: found.changes}


def _pins(selection: Selection, file: Path, python: str, announce: Announce) -> str:
    """Return the pins that apply, as the lines of a file.

    Those of the checkout's own distributions do not, nor those that its requirements exclude.
    """
    pins = {
        name: version
        for name, version in constraint_files.read(file).items()
        if name not in selection.distributions
    }
    place, command = constraint_files.place(file), hints.constraints(python, "--from-sources")
    release = constraint_files.release(file)
    if release != selection.airflow:
        announce(
            f"warning: {place}: is for Airflow {release or 'unknown'}, and the sources are "
            f"{selection.airflow}: run: {command}"
        )
    for pin, wanted in conflicts.excluded(pins, selection.wanted, python):
        announce(
            f"warning: {place}: {pin} is not used: {wanted.place} wants {wanted.text}: "
            f"run: {command}"
        )
        del pins[pin.partition("==")[0]]
    return constraint_files.pins_text(pins)


def warn_of_missing(checkout: Workspace, place: str, announce: Announce) -> None:
    """Say which members of its workspace a checkout lacks."""
    if missing := checkout.missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        announce(
            f"warning: {place}: {checkout.root} lists {plural(len(missing), 'member')} that "
            f"{'is' if len(missing) == 1 else 'are'} not there, {missing[0]}{more}: what others "
            "need of them comes from the index"
        )


def _warn_of_interfaces(checkout: Workspace, place: str, announce: Announce) -> None:
    """Say which user interfaces of a checkout are not compiled."""
    for interface, made in _INTERFACES.items():
        folder = f"{interface}/{made}"
        if (checkout.root / interface).is_dir() and not _files(checkout.root, f"{folder}/**/*"):
            announce(f"warning: {place}: {folder}: this user interface is not compiled")


def _generated(root: Path) -> Iterable[str]:
    """Yield the files that builds have made in a checkout, which git ignores."""
    interfaces = (f"{interface}/{made}/**/*" for interface, made in _INTERFACES.items())
    for pattern in (*interfaces, *_GENERATED):
        yield from (file.relative_to(root).as_posix() for file in _files(root, pattern))


def _files(root: Path, pattern: str) -> list[Path]:
    """Return the files of a checkout that match a pattern; none that a link leads out to."""
    found = [path for path in sorted(root.glob(pattern)) if path.is_file()]
    whole = root.resolve()
    inside = {one: one.resolve().is_relative_to(whole) for one in {path.parent for path in found}}
    return [path for path in found if inside[path.parent] and not path.is_symlink()]
