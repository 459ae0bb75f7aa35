"""Verify, save and load images."""

from __future__ import annotations

import json

from build_tasks import console
from build_tasks.commands.output import say
from build_tasks.config.options import Options
from build_tasks.errors import UsageError, VerificationError
from build_tasks.plan import build_host
from build_tasks.text.formatting import listed, plural
from build_tasks.verify import archive, lookup, suite


def verify_image(options: Options) -> None:
    """Verify an image: the named one, or the one that a build makes."""
    options = lookup.spelt_out(options)
    junit = suite.report(options.text("junit"))
    target = lookup.to_verify(options, options.settings(), announce=say)
    name = target.image.reference
    results = suite.verify(
        target, junit=junit, quiet=options.flag("json"), select=options.text("select") or ""
    )
    if options.flag("json"):
        console.answer(json.dumps({"image": name, "checks": results}, indent=2))
    failed = [result for result in results if result["outcome"] == "failed"]
    if failed:
        reason = failed[0]["message"].partition("\n")[0]
        raise VerificationError(
            f"{name}: {len(failed)} of {len(results)} checks failed, first "
            f"{failed[0]['check']}: {reason}"
        )
    say(f"{name}: passed {plural(len(results), 'check')}")


def save_image(options: Options) -> None:
    """Save an image of the engine to a file."""
    host, header = lookup.to_save(options, options.settings(), announce=say)
    file = options.text("file") or f"{header.identity}.tar.zst"
    size = archive.save(host.client, header, file)
    say(f"{header.identity}: saved {header.image} to {file}, {size / 1e6:.0f} MB")


def load_image(options: Options) -> None:
    """Load an image from a file that image.save wrote."""
    name = options.text("file")
    if not name:
        raise UsageError("name the file to load, like prod-3.11-amd64.tar.zst")
    settings = options.settings()
    selected = {
        "kind": options.items("kind"),
        "python": options.items("python"),
        "platform": [platform.value for platform in settings.platforms],
    }
    with archive.opened(name) as saved:
        header = saved.header
        for key, valid in selected.items():
            value = getattr(header, key)
            if valid and value not in valid:
                raise UsageError(f"{name}: is for {key} {value}, not {listed(valid)}")
        host = build_host.find(settings, start=True, announce=say)
        archive.load(host.client, saved)
    say(f"{header.identity}: loaded {header.image}")
