"""What a CI image installs of a checkout of Airflow: distributions, groups and extras."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from build_tasks.config import parsing, profiles
from build_tasks.config.settings import Settings
from build_tasks.constraints import workspace
from build_tasks.constraints.constraint_files import AIRFLOW, normalize
from build_tasks.constraints.extras import Provided
from build_tasks.constraints.workspace import Distribution, Wanted, Workspace
from build_tasks.errors import UsageError
from build_tasks.model.matrix import ImageKind

#: The distributions that have Airflow's version: of Airflow 3, and of Airflow 2.
_VERSIONED = ("apache-airflow-core", AIRFLOW)


@dataclass(frozen=True)
class Selection:
    """What is installed of a checkout.

    Args:
        workspace: the checkout.
        airflow: its version of Airflow.
        distributions: those that are installed editable, by name.
        groups: dependency groups, each with its distribution.
        extras: extras of apache-airflow, as PyPI normalizes them.
        unsupported: distributions that are left out because they do not support the Python.
    """

    workspace: Workspace
    airflow: str
    distributions: Mapping[str, Distribution]
    groups: tuple[tuple[Distribution, str], ...] = ()
    extras: tuple[str, ...] = ()
    unsupported: tuple[Distribution, ...] = ()

    @cached_property
    def wanted(self) -> list[Wanted]:
        """The requirements, each with its place.

        Raises:
            UsageError: a group includes one that does not exist; or a requirement is none.
        """
        root = self.distributions.get(AIRFLOW)
        extras = [(root, extra) for extra in self.extras] if root else []
        return workspace.requirements(self.distributions, self.groups, extras)

    @property
    def provided(self) -> Provided | None:
        """The extras that its Airflow has, None if only a build tells them."""
        root = self.distributions.get(AIRFLOW)
        if root is None or root.extras is None:
            return None
        return Provided(self.airflow, root.extras, str(self.workspace.root / root.file))

    def lines(self, folder: str) -> list[str]:
        """Return a file of requirements that installs all of it; the checkout is in `folder`.

        Raises:
            UsageError: a group includes one that does not exist.
        """
        lines = []
        for name, distribution in self.distributions.items():
            extras = f"[{','.join(self.extras)}]" if name == AIRFLOW and self.extras else ""
            lines.append(f"-e {folder}/{distribution.folder}".rstrip("/") + extras)
        for distribution, group in self.groups:
            lines += workspace.group_requirements(distribution, group)
        return list(dict.fromkeys(lines))

    def metadata(self) -> dict[str, bytes]:
        """Return what build backends read of the distributions; see `workspace.metadata_files`.

        Raises:
            UsageError: a file cannot be read.
        """
        return workspace.metadata_files(self.workspace.root, self.distributions.values())


def select(settings: Settings, checkout: Workspace, python: str) -> Selection:
    """Return what the settings select of a checkout for a Python.

    By default, that is all but what does not support the Python, as some providers do not.

    Raises:
        UsageError: a distribution or a group does not exist; or the checkout is not Airflow's, or
            Airflow or a distribution that the settings name does not support the Python.
    """
    place = settings.origins["ci.from"]
    airflow = _version(checkout, place)
    chosen = _distributions(settings, checkout)
    unsupported = [each for each in chosen.values() if not _supports(each, python)]
    for distribution in unsupported:
        if settings.ci_distributions or distribution.name in _VERSIONED:
            raise UsageError(
                f"{place}: {distribution.name} is for Python "
                f"{distribution.project['requires-python']}, not {python} "
                f"({distribution.file}: requires-python)"
            )
        del chosen[distribution.name]
    groups = _groups(settings, chosen)
    names = profiles.names(profiles.extras(settings, ImageKind.CI, airflow))
    extras = tuple(map(normalize, names)) if AIRFLOW in chosen else ()
    return Selection(checkout, airflow, chosen, groups, extras, tuple(unsupported))


def _version(checkout: Workspace, place: str) -> str:
    """Return the version of Airflow that a checkout has."""
    for name in _VERSIONED:
        if distribution := checkout.distributions.get(name):
            version = workspace.version(checkout.root, distribution)
            return parsing.version(version, f"{place}: {checkout.root / distribution.file}")
    raise UsageError(
        f"{place}: {checkout.root} has no Airflow: expected the distribution "
        f"{' or '.join(_VERSIONED)} of a checkout of its repository"
    )


def _distributions(settings: Settings, checkout: Workspace) -> dict[str, Distribution]:
    """Return the distributions that the settings name, by default all."""
    if not settings.ci_distributions:
        return dict(checkout.distributions)
    chosen: dict[str, Distribution] = {}
    place = settings.origins["ci.distributions"]
    for name in settings.ci_distributions:
        found = checkout.find(name)
        if not found:
            if name in checkout.missing:
                raise UsageError(f"{place}: {name}: the sources list it, and it is not there")
            raise parsing.unknown(f"{place}: unknown distribution", name, checkout.distributions)
        chosen[found.name] = found
    return chosen


def _groups(
    settings: Settings, chosen: Mapping[str, Distribution]
) -> tuple[tuple[Distribution, str], ...]:
    """Return the dependency groups that the settings name, each with its distribution."""
    place = settings.origins["ci.groups"]
    found: dict[tuple[str, str], tuple[Distribution, str]] = {}
    for item in settings.ci_groups:
        name, colon, group = item.rpartition(":")
        if colon and normalize(name) not in chosen:
            raise parsing.unknown(f"{place}: {item}: unknown distribution", name, chosen)
        owners = [chosen[normalize(name)]] if colon else [*_but_airflow(chosen)]
        groups = {each for owner in owners for each in owner.groups}
        having = [owner for owner in owners if _group(owner, group)]
        if not having and (colon or place != "default"):
            raise parsing.unknown(f"{place}: unknown dependency group", group, sorted(groups))
        for owner in having:
            found[owner.name, normalize(group)] = (owner, _group(owner, group))
    return tuple(found.values())


def _but_airflow(chosen: Mapping[str, Distribution]) -> Iterable[Distribution]:
    """Return all but the one whose groups ask for all providers: they have to be named with it."""
    return (distribution for name, distribution in chosen.items() if name != AIRFLOW)


def _group(distribution: Distribution, name: str) -> str:
    """Return a group as its distribution spells it; empty if there is none."""
    spelled = (each for each in distribution.groups if normalize(each) == normalize(name))
    return next(spelled, "")


def _supports(distribution: Distribution, python: str) -> bool:
    """Return whether a distribution supports a Python.

    Raises:
        UsageError: its pyproject.toml does not say so in a way that can be read.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415 - start-up time

    text = distribution.project.get("requires-python", "")
    try:
        supported = SpecifierSet(text if isinstance(text, str) else "")
    except InvalidSpecifier:
        raise UsageError(f"{distribution.file}: requires-python: {text!r} is unusable") from None
    # `!=3.13` is meant for all of 3.13, but only says 3.13.0.
    excluded = any(each.operator == "!=" and each.version == python for each in supported)
    return not excluded and supported.contains(f"{python}.99")
