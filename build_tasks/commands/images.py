"""Images that are there: verifying, saving and loading them."""

from __future__ import annotations

import json

from build_tasks import console
from build_tasks.commands.output import say
from build_tasks.config.options import Options
from build_tasks.errors import UsageError, VerificationError
from build_tasks.plan import build_host
from build_tasks.text import formatting
from build_tasks.text.formatting import plural


def verify_image(options: Options) -> None:
    """Verify that an image holds what it says: the one named, or the one that a build makes."""
    from build_tasks.verify import lookup, suite  # noqa: PLC0415 - start-up time

    options = lookup.spelt_out(options)
    junit = suite.report(options.text("junit"))
    goal = lookup.to_verify(options, options.settings(), announce=say)
    results = suite.verify(
        goal,
        junit=junit,
        quiet=options.flag("json"),
        select=options.text("select") or "",
    )
    if options.flag("json"):
        console.answer(json.dumps({"image": goal.image.reference, "checks": results}, indent=2))
    failed = [one for one in results if one["outcome"] == "failed"]
    if failed:
        first = failed[0]
        why = first["message"].partition("\n")[0]
        raise VerificationError(
            f"{goal.image.reference}: {len(failed)} of {len(results)} checks failed, first "
            f"{first['check']}: {why}"
        )
    say(f"{goal.image.reference}: holds what it says, {plural(len(results), 'check')}")


def save_image(options: Options) -> None:
    """Save an image of the engine's to a file, which says what is in it."""
    from build_tasks.verify import archive, lookup  # noqa: PLC0415 - start-up time

    where, header = lookup.to_save(options, options.settings(), announce=say)
    file = options.text("file") or f"{header.identity}.tar.zst"
    size = archive.save(where.client, header, file)
    say(f"{header.identity}: saved {header.image} to {file}, {size / 1e6:.0f} MB")


def load_image(options: Options) -> None:
    """Load an image from a file that image.save wrote, and check that it is what the file says."""
    from build_tasks.verify import archive  # noqa: PLC0415 - start-up time

    name = options.text("file")
    if not name:
        raise UsageError("name the file to load, like prod-3.11-amd64.tar.zst")
    settings = options.settings()
    asked = {
        "kind": options.items("kind"),
        "python": options.items("python"),
        "platform": [platform.value for platform in settings.platforms],
    }
    with archive.opened(name) as saved:
        header = saved.header
        for key, valid in asked.items():
            has = getattr(header, key)
            if valid and has not in valid:
                raise UsageError(f"{name}: is for {key} {has}, not {formatting.listed(valid)}")
        where = build_host.find(settings, start=True, announce=say)
        archive.load(where.client, saved)
    say(f"{header.identity}: loaded {header.image}")
