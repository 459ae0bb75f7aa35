"""Lock base images, and check whether the locked ones are what their registries have."""

from __future__ import annotations

from build_tasks.check import base_images
from build_tasks.commands import builders
from build_tasks.commands.output import show, show_json
from build_tasks.config.options import Options
from build_tasks.console import answer, message
from build_tasks.errors import RegistryError, SeveralErrors, StaleError
from build_tasks.model import matrix
from build_tasks.plan import build_host
from build_tasks.plan.build_host import BuildHost


def check_base_images(options: Options) -> None:
    """Check whether the base images of base.lock have moved, and print what changed in them."""
    host, pythons = _selected(options)
    findings = base_images.check(host, pythons, message)
    if options.flag("json"):
        show_json([finding.data for finding in findings])
    else:
        for finding in findings:
            answer("\n".join(finding.lines))
    if not options.flag("fail"):
        return
    unknown = [finding.python for finding in findings if finding.problem]
    stale = [one.python for one in findings if not one.current and not one.problem]
    if stale:
        raise StaleError(f"moved, or not locked: {', '.join(stale)}")
    if unknown:
        raise RegistryError(f"cannot tell whether moved: {', '.join(unknown)}")


def update_base_images(options: Options) -> None:
    """Lock the base images that the registries have now, in base.lock."""
    host, pythons = _selected(options)
    locked, errors = base_images.update(host, pythons, message)
    rows = [(name, one.pinned, [*one.platforms]) for name, one in sorted(locked.items())]
    data = {python: {"base": base, "platforms": names} for python, base, names in rows}
    show(options, data, ("python", "base image", "platforms"), rows)
    if len(errors) > 1:
        raise SeveralErrors("; ".join(map(str, errors)), errors)
    if errors:
        raise errors[0]


def _selected(options: Options) -> tuple[BuildHost, list[str]]:
    """Return the host, and the Pythons that the options select: by default all of the project."""
    settings = options.settings().replace({"locked": False})
    known = settings.pythons
    given = [matrix.parse_python(text, "--python", known) for text in options.items("python")]
    host = build_host.find(settings, start=True, announce=message)
    if settings.builder in settings.builders:
        builders.create_missing(host)
    return host, given or [*known]
