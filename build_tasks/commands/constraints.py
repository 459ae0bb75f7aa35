"""Resolve the versions that images install."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from build_tasks import console
from build_tasks.commands import output
from build_tasks.config.options import Options
from build_tasks.config.settings import Settings
from build_tasks.console import message
from build_tasks.constraints import (
    baseline,
    constraint_files,
    extras,
    indexes,
    tree,
    workspace,
)
from build_tasks.constraints.from_sources import Checkout
from build_tasks.constraints.reasons import Explained
from build_tasks.constraints.resolver import Uv
from build_tasks.errors import UsageError
from build_tasks.model import matrix
from build_tasks.plan import airflow_tree

#: More changes than these are a table.
_FEW = 20
#: Options that say nothing where a release is resolved.
_OF_SOURCES = ("ci-from", "ci-distributions", "ci-groups", "json")


def generate_constraints(options: Options) -> None:
    """Resolve the constraint files of the selected Pythons, by default all."""
    settings = options.settings()
    environment = indexes.find(settings).environment()
    prerelease = ("--prerelease", settings.uv_prerelease)
    uv = Uv(environment, (*indexes.options(settings), *prerelease))
    pythons = [
        matrix.parse_python(text, "--python", settings.pythons)
        for text in options.items("python") or settings.pythons
    ]
    upgrade = options.flag("upgrade")
    if options.flag("from-sources"):
        changes = [
            (checkout.python, explained)
            for checkout in _checkouts(settings, pythons, uv)
            for explained in _resolve_checkout(checkout, upgrade=upgrade)
        ]
        _show(options, changes)
        return
    for name in _OF_SOURCES:
        if options.given.get(name):
            raise UsageError(f"--{name}: is for --from-sources: add that, or leave this one out")
    for python in pythons:
        extras.refresh(python, settings, uv, announce=message)
        extras.check(settings, python)
        constraint_files.generate(python, settings, uv, upgrade=upgrade, announce=message)
        needed = partial(constraint_files.needed, python, settings, uv)
        baseline.refresh(python, settings, uv, needed, announce=message)


def _checkouts(settings: Settings, pythons: Sequence[str], uv: Uv) -> list[Checkout]:
    """Return the checkout for each Python, all of them checked.

    Raises:
        UsageError: there is none; or it is not Airflow's, does not support a Python, or lacks a
            distribution, a group or an extra of the settings.
        NetworkError: it cannot be fetched.
        MissingProgram: git is not installed.
    """
    if not settings.ci_checkout:
        raise UsageError(
            "--from-sources: ci.from is release: set it to a folder of Airflow's sources, or to "
            "git+URL@REF"
        )
    content = workspace.read(airflow_tree.folder(settings, message))
    checkouts = [
        Checkout(python, tree.select(settings, content, python), settings, uv) for python in pythons
    ]
    for checkout in checkouts:
        checkout.check()
    airflow_tree.warn_of_missing(content, settings.origins["ci.from"], message)
    return checkouts


def _resolve_checkout(checkout: Checkout, *, upgrade: bool) -> list[Explained]:
    """Resolve the constraints and the baselines from a checkout, and return what changed."""
    changes = checkout.generate(upgrade=upgrade, announce=message)
    baseline.refresh(
        checkout.python, checkout.settings, checkout.uv, checkout.needed, announce=message
    )
    return changes


def _show(options: Options, changes: Sequence[tuple[str, Explained]]) -> None:
    """Print what changed: a few changes of one Python as lines, more as a table."""
    rows = [(python, *explained.change, explained.wanted) for python, explained in changes]
    several = len({python for python, _ in changes}) > 1
    if several or len(rows) > _FEW or options.flag("json"):
        names = ("python", "package", "old", "new", "wanted")
        data = [dict(zip(names, row, strict=True)) for row in rows]
        output.show(options, data, (*names[:-1], "wanted by"), rows)
        return
    for _, explained in changes:
        console.answer(str(explained))
