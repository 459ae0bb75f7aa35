"""Constraints of a checkout of Airflow: what its distributions, groups and extras resolve to.

uv gets the metadata of the distributions alone, like a build. So they come from the checkout
wherever something requires them, and everything else comes from the index.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from build_tasks import paths
from build_tasks.config import profiles
from build_tasks.config.settings import Settings
from build_tasks.constraints import conflicts, constraint_files, extras, reasons, workspace
from build_tasks.constraints.constraint_files import (
    AIRFLOW,
    ALL,
    CORE,
    FROM_SOURCES,
    NAME,
    PIN,
    PROVIDER,
    Change,
    Pins,
    normalize,
)
from build_tasks.constraints.reasons import Explained
from build_tasks.constraints.resolver import Uv
from build_tasks.constraints.tree import Selection
from build_tasks.constraints.workspace import Wanted
from build_tasks.errors import DependencyError, NetworkError, UsageError
from build_tasks.model.matrix import ImageKind, Platform
from build_tasks.process import Announce
from build_tasks.text.formatting import listed, plural

#: The distributions that are Airflow without providers. Each requires those behind it.
_CORE = (AIRFLOW, "apache-airflow-core", "apache-airflow-task-sdk")
#: The classifier of a distribution that PyPI refuses.
_PRIVATE = "Private :: Do Not Upload"
#: A line of uv with what requires the package: other packages, and files as options.
_LINE = re.compile(rf"{PIN.pattern}(?:\s+# via (?P<parents>.*))?")
#: The number of former versions that uv is asked about, a few seconds for each.
_ASKED = 10


class _Resolved(NamedTuple):
    """Versions, and the names of what requires each package, as far as uv names them."""

    pins: dict[str, str]
    parents: dict[str, list[str]]


@dataclass(frozen=True)
class Checkout:
    """What images of one Python get of a checkout, and uv, which resolves it.

    Args:
        python: the Python.
        selection: what a CI image gets.
        settings: the effective settings.
        uv: uv on this machine.
    """

    python: str
    selection: Selection
    settings: Settings
    uv: Uv

    @cached_property
    def _folder(self) -> Path:
        """The folder with the metadata, where uv's cache finds it again."""
        return paths.keep("checkouts", self.selection.metadata())

    @cached_property
    def _both(self) -> Selection:
        """What CI and PROD images get together, so that they have the same versions."""
        names = dict.fromkeys((*self.selection.extras, *self._extras(ImageKind.PROD)))
        return replace(self.selection, extras=tuple(names))

    @cached_property
    def _wanted(self) -> list[Wanted]:
        """All requirements, each with its place."""
        own = constraint_files.added(self.settings, self.python, *ImageKind)
        return [*self._both.wanted, *(Wanted(*item) for item in own)]

    @cached_property
    def _excluding(self) -> list[Wanted]:
        """All requirements and limits, each with its place."""
        limits = constraint_files.limits(self.settings, self.python)
        return [*self._wanted, *(Wanted(*item) for item in limits)]

    @cached_property
    def _by_name(self) -> Mapping[str, Wanted]:
        """The first requirement of each package."""
        return conflicts.by_name(self._wanted, self.python)

    def check(self) -> None:
        """Raise UsageError if its Airflow lacks an extra of the settings; see `extras.compare`."""
        if self.selection.provided:
            extras.compare(self.settings, self.python, self.selection.provided)

    def generate(self, *, upgrade: bool, announce: Announce) -> list[Explained]:
        """Resolve the constraints, write the project's files of all modes, and explain changes.

        Versions in the present file are kept where they fit, unless `upgrade` asks for the newest.
        The file of all packages also has the checkout's distributions whose versions the index has.

        Raises:
            UsageError: a file of the checkout or of the project is unusable.
            DependencyError: no versions fit together.
            AuthError: the package index refuses the credentials, or requires some.
            NetworkError: the package index is unreachable.
        """
        project, airflow = self.settings.project, self.selection.airflow
        file = constraint_files.path(project, self.python)
        before = constraint_files.read(file) if file.exists() else {}
        lines = (*self._both.lines(str(self._folder)), *self._added(*ImageKind))
        resolved = self._resolve(lines, present={} if upgrade else before)
        core = self._resolve([self._airflow()], pins=resolved.pins).pins
        released = {**self._released(), AIRFLOW: airflow}
        core |= {name: released[name] for name in _CORE if name in released}
        pins = {**resolved.pins, **released}
        modes = {
            ALL: pins,
            CORE: constraint_files.without(core, PROVIDER),
            FROM_SOURCES: resolved.pins,
        }
        constraint_files.write(project, self.python, airflow, modes)
        announce(f"{constraint_files.place(file)}: {plural(len(pins), 'package')}")
        known = self._direct(before)
        changes = constraint_files.changes(before, pins)
        if not upgrade:
            known |= self._transitive(changes, known, pins)
        return [Explained(each, self._reason(each, known, resolved)) for each in changes]

    def needed(self, kind: ImageKind) -> Pins:
        """Return the constraints, which exist, that one image installs from the index.

        Raises:
            UsageError: the constraints are unusable.
            AuthError: the package index refuses the credentials, or requires some.
            NetworkError: the package index is unreachable.
        """
        file = constraint_files.path(self.settings.project, self.python)
        airflow = (
            self.selection.lines(str(self._folder))
            if kind is ImageKind.CI
            else [self._airflow(self._extras(kind))]
        )
        return self._resolve([*airflow, *self._added(kind)], pins=constraint_files.read(file)).pins

    def _extras(self, kind: ImageKind) -> Sequence[str]:
        """Return the extras of an image, none if Airflow itself does not come from the checkout."""
        if AIRFLOW not in self.selection.distributions:
            return ()
        try:
            chosen = profiles.extras(self.settings, kind, self.selection.airflow)
        except UsageError:  # of Airflow 2, only CI images are made by default
            return ()
        return [*map(normalize, profiles.names(chosen))]

    def _added(self, *kinds: ImageKind) -> list[str]:
        return [text for _, text in constraint_files.added(self.settings, self.python, *kinds)]

    def _airflow(self, names: Sequence[str] = ()) -> str:
        """Return the requirement of Airflow with the extras of some names."""
        chosen = self.selection.distributions
        name = next((name for name in _CORE if name in chosen), "")
        if not name:
            return f"{AIRFLOW}=={self.selection.airflow}"
        suffix = f"[{','.join(names)}]" if names else ""
        return f"-e {self._folder / chosen[name].folder}{suffix}"

    def _released(self) -> dict[str, str]:
        """Return the versions of the checkout's distributions that the index has."""
        root = self.selection.workspace.root
        versions = {
            name: workspace.version(root, distribution)
            for name, distribution in self.selection.distributions.items()
            if _PRIVATE not in distribution.classifiers
        }
        # A version with a local label, like 3.4.0.dev0+g1234, is in no public index.
        known = {name: text for name, text in versions.items() if text and "+" not in text}
        return self.uv.available(self.python, known)

    def _resolve(
        self, requirements: Iterable[str], *, pins: Pins | None = None, present: Pins | None = None
    ) -> _Resolved:
        """Return what requirements resolve to on all platforms, without the checkout's own.

        Args:
            requirements: the lines of a file of requirements.
            pins: versions that the result has to have.
            present: versions that are kept where they fit.
        """
        found = _Resolved({}, {})
        with tempfile.TemporaryDirectory() as temporary:
            limits, output = Path(temporary) / "limits.txt", Path(temporary) / "output.txt"
            # The second platform has to use the same versions, and may need further packages.
            for platform in Platform:
                limits.write_text(self._limits({**(pins or {}), **found.pins}), encoding="utf-8")
                output.write_text(constraint_files.pins_text(present or {}), encoding="utf-8")
                self._compile(output, platform, requirements, limits)
                for _, line in constraint_files.parse(output, _LINE, "a pin like name==1.2.3"):
                    name, parents = normalize(line[1]), (line["parents"] or "").split(", ")
                    found.pins[name] = line[2]
                    named = filter(NAME.fullmatch, parents)
                    found.parents[name] = sorted({*found.parents.get(name, ()), *named})
        return found

    def _limits(self, pins: Pins) -> str:
        """Return constraints: the limits, where the checkout's distributions are, and pins."""
        local = self.selection.distributions
        lines = [text for _, text in constraint_files.limits(self.settings, self.python)]
        for name, distribution in local.items():
            lines.append(f"{name} @ {(self._folder / distribution.folder).as_uri()}")
        others = {name: version for name, version in pins.items() if name not in local}
        return "\n".join((*lines, constraint_files.pins_text(others)))

    def _compile(
        self, output: Path, platform: Platform, requirements: Iterable[str], limits: Path
    ) -> None:
        """Resolve requirements into a file with what requires each package."""
        options = ["--no-sources", "--annotate", "--annotation-style", "line"]
        for name in self.selection.distributions:
            options += ["--no-emit-package", name]
        wanted = "\n".join(requirements)
        try:
            self.uv.compile_into(output, self.python, platform, wanted, limits, *options)
        except DependencyError as error:
            root = self.selection.workspace.root.resolve().as_uri()
            message = str(error).replace(self._folder.as_uri(), root)
            local = self.selection.distributions
            raise DependencyError(reasons.with_places(message, self._excluding, local)) from None

    def _direct(self, before: Pins) -> dict[str, str]:
        """Return the requirement or the limit that excludes a former version, by package."""
        excluded = conflicts.excluded(before, self._excluding, self.python)
        return {pin.partition("==")[0]: reasons.wants(wanted) for pin, wanted in excluded}

    def _transitive(
        self, changes: Iterable[Change], known: Collection[str], after: Pins
    ) -> dict[str, str]:
        """Return the requirement of another package that excludes a former version, by package.

        uv is asked to combine each former version with all others that were resolved.
        """
        local = self.selection.distributions
        replaced = [
            change
            for change in changes
            if change.old and change.new and change.package not in {*known, *local}
        ]
        lines = (*self._both.lines(str(self._folder)), *self._added(*ImageKind))
        found = {}
        with tempfile.TemporaryDirectory() as temporary:
            limits, output = Path(temporary) / "limits.txt", Path(temporary) / "output.txt"
            for change in replaced[:_ASKED]:
                versions = {**after, change.package: str(change.old)}
                limits.write_text(self._limits(versions), encoding="utf-8")
                try:
                    self._compile(output, Platform.AMD64, lines, limits)
                except DependencyError as error:
                    if reason := reasons.stated(str(error), change.package, versions):
                        found[change.package] = reason
                except NetworkError:  # the versions are known and written: do without the reasons
                    break
        return found

    def _reason(self, change: Change, known: Mapping[str, str], resolved: _Resolved) -> str:
        """Return what requires the new version of a package, empty if that is not known."""
        name = change.package
        if distribution := self.selection.distributions.get(name):
            version = workspace.version(self.selection.workspace.root, distribution)
            absent = "" if change.new else ", which the index lacks"
            return f"{distribution.file} has {version}{absent}"
        if change.new is None:
            return "nothing wants it"
        if name in known:
            return known[name]
        if wanted := self._by_name.get(name):
            return reasons.wants(wanted)
        parents = resolved.parents.get(name, [])
        named = [f"{parent} {resolved.pins.get(parent, '')}".strip() for parent in parents]
        return f"wanted by {listed(named)}" if named else ""
