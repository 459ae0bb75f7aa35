"""Python, Airflow and the packages are those that were asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from build_tasks.constraints import constraint_files
from build_tasks.verify.container import Containers
from build_tasks.verify.plugin import Packages, expect
from build_tasks.verify.target import Target

#: What installs packages, and is asked for by nobody's requirement.
_INSTALLERS = ("pip",)
_IMPORTS = """
import importlib, importlib.metadata, json
from airflow.exceptions import AirflowOptionalProviderFeatureException as Optional
failed, imported = {}, 0
for entry in importlib.metadata.entry_points().select(group="apache_airflow_provider") \\
        if hasattr(importlib.metadata.entry_points(), "select") \\
        else importlib.metadata.entry_points()["apache_airflow_provider"]:
    info = entry.load()()
    modules = {name for kind in ("operators", "sensors", "hooks", "triggers", "bundles")
               for one in info.get(kind, []) for name in one.get("python-modules", [])}
    modules |= {
        one["hook-class-name"].rpartition(".")[0] for one in info.get("connection-types", [])
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
    ended = containers.python("import sys; print('%d.%d' % sys.version_info[:2])")
    found = ended.stdout.strip()
    expect(
        found == target.python, f"python is {found or ended.stderr.strip()}, not {target.python}"
    )


def test_airflow_is_the_release_asked_for(target: Target, containers: Containers) -> None:
    ended = containers.run("airflow", "version")
    found = (ended.stdout.strip().splitlines() or ["nothing"])[-1]
    expect(
        found == target.airflow,
        f"`airflow version` says {found}, not {target.airflow}: {ended.stderr.strip()[-500:]}",
    )


def test_each_pinned_package_has_its_version(target: Target, packages: Packages) -> None:
    pins = _pins(target, packages)
    wrong = []
    for one in packages.distributions:
        pin = pins.get(canonicalize_name(one["name"]))
        if (
            pin
            and not one["local"]
            and not pin.specifier.contains(one["version"], prereleases=True)
        ):
            wrong.append(f"{one['name']} {one['version']}, not {pin.specifier}")
    expect(not wrong, f"off {target.constraints.name}: {'; '.join(wrong)}")


def test_nothing_is_installed_that_nobody_asked_for(target: Target, packages: Packages) -> None:
    needed = set(_needed(target, packages))
    installed = {canonicalize_name(one["name"]) for one in packages.distributions}
    extra = sorted(installed - needed - set(_INSTALLERS))
    expect(not extra, f"no requirement leads to {', '.join(extra)}")


def test_everything_that_was_asked_for_is_installed(target: Target, packages: Packages) -> None:
    installed = {canonicalize_name(one["name"]) for one in packages.distributions}
    missing = sorted(set(_needed(target, packages)) - installed)
    expect(not missing, f"{', '.join(missing)} should be there")
    airflow = [one for one in packages.distributions if one["name"] == "apache-airflow"]
    known = {canonicalize_name(name) for one in airflow for name in one.get("extras", ())}
    unknown = [name for name in target.extras if known and canonicalize_name(name) not in known]
    expect(not unknown, f"this Airflow has no extra {', '.join(unknown)}")


def test_the_packages_fit_together(containers: Containers) -> None:
    ended = containers.run("bash", "-c", "python -m pip check 2>/dev/null || uv pip check 2>&1")
    expect(not ended.returncode, f"pip check: {ended.stdout.strip()}{ended.stderr.strip()}")


def test_every_provider_imports(containers: Containers) -> None:
    import json  # noqa: PLC0415 - with its only use

    ended = containers.python(_IMPORTS)
    found = re.search(r"^RESULT (.*)$", ended.stdout, re.MULTILINE)
    if not found:
        expect(holds=False, message=f"providers cannot be imported: {ended.stderr.strip()[-500:]}")
        return
    result = json.loads(found[1])
    failed = "; ".join(f"{name}: {why}" for name, why in result["failed"].items())
    expect(not failed, f"cannot be imported: {failed}")
    expect(result["imported"], "no provider has anything to import")


def _pins(target: Target, packages: Packages) -> dict[str, Requirement]:
    lines = constraint_files.lines(target.constraints)
    parsed = [Requirement(line) for line in lines]
    return {
        canonicalize_name(one.name): one
        for one in parsed
        if one.marker is None or one.marker.evaluate(packages.environment)
    }


def _needed(target: Target, packages: Packages) -> Iterator[str]:
    """Yield the names of all that the requirements lead to, with what is installed."""
    by_name = {canonicalize_name(one["name"]): one for one in packages.distributions}
    extras = f"[{','.join(target.extras)}]" if target.extras else ""
    todo = [Requirement(text) for text in (f"apache-airflow{extras}", *target.packages)]
    seen: set[tuple[str, str]] = set()
    while todo:
        one = todo.pop()
        name = canonicalize_name(one.name)
        yield name
        for extra in ("", *one.extras):
            if (name, extra) in seen or name not in by_name:
                continue
            seen.add((name, extra))
            environment = {**packages.environment, "extra": canonicalize_name(extra)}
            for text in by_name[name]["requires"]:
                required = Requirement(text)
                if required.marker is None or required.marker.evaluate(environment):
                    todo.append(required)
