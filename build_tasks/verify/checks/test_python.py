"""Python, Airflow and the installed packages are the expected ones."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from build_tasks.buildx.containers import Containers
from build_tasks.constraints import constraint_files
from build_tasks.verify.fixtures import Packages
from build_tasks.verify.plugin import CONTRACT, expect, expect_success, skip_if_arbitrary
from build_tasks.verify.target import Target

#: Installers, which no requirement needs.
_INSTALLERS = {"pip"}
_IMPORT_PROVIDERS = """
import importlib, importlib.metadata, json
from airflow.exceptions import AirflowOptionalProviderFeatureException as Optional
failed, imported = {}, 0
points = importlib.metadata.entry_points()
group = "apache_airflow_provider"
for entry in points.select(group=group) if hasattr(points, "select") else points[group]:
    info = entry.load()()
    modules = {name for kind in ("operators", "sensors", "hooks", "triggers", "bundles")
               for item in info.get(kind, []) for name in item.get("python-modules", [])}
    modules |= {
        item["hook-class-name"].rpartition(".")[0] for item in info.get("connection-types", [])
    }
    for name in sorted(modules):
        imported += 1
        try:
            importlib.import_module(name)
        except Optional:
            pass
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}"
print("RESULT", json.dumps({"failed": failed, "imported": imported}))
"""


def test_python_is_the_one_asked_for(target: Target, containers: Containers) -> None:
    completed = containers.python("import sys; print('%d.%d' % sys.version_info[:2])")
    python, expected = completed.stdout.strip(), target.build.python
    expect(python == expected, f"python is {python or completed.stderr.strip()}, not {expected}")


def test_airflow_is_the_release_asked_for(target: Target, containers: Containers) -> None:
    completed = containers.run("airflow", "version")
    version = (completed.stdout.strip().splitlines() or ["nothing"])[-1]
    expect(
        version == target.airflow,
        f"`airflow version` says {version}, not {target.airflow}: {completed.stderr[-500:]}",
    )


def test_each_pinned_package_has_its_version(target: Target, packages: Packages) -> None:
    skip_if_arbitrary(target)
    pins = _pins(target, packages)
    wrong = []
    for name, package in packages.distributions.items():
        pin = None if package["local"] else pins.get(name)
        if pin and not pin.specifier.contains(package["version"], prereleases=True):
            wrong.append(f"{package['name']} {package['version']}, not {pin.specifier}")
    expect(not wrong, f"off {target.constraints.name}: {'; '.join(wrong)}")


def test_nothing_is_installed_that_nobody_asked_for(target: Target, packages: Packages) -> None:
    skip_if_arbitrary(target)
    extra = sorted(packages.distributions.keys() - set(_required(target, packages)) - _INSTALLERS)
    expect(not extra, f"no requirement leads to {', '.join(extra)}")


def test_everything_that_was_asked_for_is_installed(target: Target, packages: Packages) -> None:
    if target.other_dockerfile:
        pytest.skip("which packages it has is up to the project's Dockerfile")
    installed = packages.distributions
    missing = sorted(set(_required(target, packages)) - installed.keys())
    expect(not missing, f"not installed: {', '.join(missing)}")
    extras = installed.get("apache-airflow", {}).get("extras") or target.extras
    known = {canonicalize_name(name) for name in extras}
    unknown = [name for name in target.extras if canonicalize_name(name) not in known]
    expect(not unknown, f"this Airflow has no extra {', '.join(unknown)}")


@CONTRACT
def test_the_packages_fit_together(containers: Containers) -> None:
    check = "python -m pip check 2>/dev/null || uv pip check 2>&1"
    completed = containers.run("bash", "-c", check)
    expect_success(completed, f"pip check: {completed.stdout.strip()}")


@CONTRACT
def test_every_provider_imports(containers: Containers) -> None:
    completed = containers.python(_IMPORT_PROVIDERS)
    expect_success(completed, "providers cannot be imported")
    result = json.loads(completed.stdout.rpartition("RESULT ")[2])
    failed = "; ".join(f"{name}: {error}" for name, error in result["failed"].items())
    expect(not failed, f"cannot be imported: {failed}")
    expect(result["imported"], "no provider has anything to import")


def _pins(target: Target, packages: Packages) -> dict[str, Requirement]:
    pins = [Requirement(line) for line in constraint_files.lines(target.constraints)]
    return {
        canonicalize_name(pin.name): pin
        for pin in pins
        if pin.marker is None or pin.marker.evaluate(packages.environment)
        if canonicalize_name(pin.name) not in target.own_pins
    }


def _required(target: Target, packages: Packages) -> Iterator[str]:
    """Yield the names of all packages that are required, directly or by installed packages."""
    installed = packages.distributions
    extras = f"[{','.join(target.extras)}]" if target.extras else ""
    airflow = () if target.checkout else (f"apache-airflow{extras}",)
    wanted = map(Requirement, (*airflow, *target.packages))
    pending = [
        requirement
        for requirement in wanted
        if requirement.marker is None or requirement.marker.evaluate(packages.environment)
    ]
    visited: set[tuple[str, str]] = set()
    while pending:
        requirement = pending.pop()
        name = canonicalize_name(requirement.name)
        yield name
        for extra in ("", *requirement.extras):
            if (name, extra) in visited or name not in installed:
                continue
            visited.add((name, extra))
            environment = {**packages.environment, "extra": canonicalize_name(extra)}
            pending += [
                needed
                for needed in map(Requirement, installed[name]["requires"])
                if needed.marker is None or needed.marker.evaluate(environment)
            ]
