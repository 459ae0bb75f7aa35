"""Verify, save and load images."""

from __future__ import annotations

from build_tasks.commands.output import show_json
from build_tasks.config import parsing
from build_tasks.config.options import Options
from build_tasks.console import message
from build_tasks.errors import UsageError, VerificationError
from build_tasks.model.matrix import Build
from build_tasks.plan import build_host
from build_tasks.text.formatting import listed, plural
from build_tasks.verify import archive, lookup, source
from build_tasks.verify.target import Image


def verify_image(options: Options) -> None:
    """Verify an image: check its contents, and run Airflow in it."""
    from build_tasks.verify import suite  # noqa: PLC0415 - imports pytest

    options = lookup.expand_identity(options, options.settings())
    junit = suite.junit_file(options.text("junit"))
    target = lookup.to_verify(options, options.settings(), announce=message)
    results = suite.verify(
        target,
        announce=message,
        junit=junit,
        quiet=options.flag("json"),
        select=options.text("select") or "",
    )
    reference = target.image.reference
    if options.flag("json"):
        show_json({"image": reference, "checks": results})
    failed = [result for result in results if result["outcome"] == "failed"]
    if failed:
        reason = failed[0]["message"].partition("\n")[0]
        raise VerificationError(
            f"{reference}: {len(failed)} of {plural(len(results), 'check')} failed, first "
            f"{failed[0]['check']}: {reason}"
        )
    passed = sum(result["outcome"] == "passed" for result in results)
    rest = f", skipped {len(results) - passed}" if passed < len(results) else ""
    message(f"{reference}: passed {plural(passed, 'check')}{rest}")


def save_image(options: Options) -> None:
    """Save an image of the engine to a file, compressed with zstd."""
    host, image, build = lookup.to_save(options, options.settings(), announce=message)
    file = options.text("file") or f"{build.identity}.tar.zst"
    size = archive.save(host.client, image.reference, file)
    message(f"{build.identity}: saved {image.reference} to {file}, {size / 1e6:.0f} MB")


def load_image(options: Options) -> None:
    """Load an image that image.save wrote, unless it is another one than the options name."""
    file, place = options.text("file"), options.text("from")
    if file and place:
        raise UsageError(f"{source.OPTION}: {file} is given, too: leave one of them out")
    if not file and not place:
        raise UsageError("name the file to load, like prod-3.11-amd64.tar.zst")
    settings = options.settings()
    parse_name = parsing.Choice("image", settings.image_names)
    expected = {
        "kind": [parse_name(name, "--kind") for name in options.items("kind")],
        "python": options.items("python"),
        "platform": [platform.value for platform in settings.platforms],
    }

    def accept(image: Image, build: Build) -> None:
        found = {"kind": build.image_name, "python": build.python, "platform": build.platform}
        for field, valid in expected.items():
            if valid and found[field] not in valid:
                raise UsageError(
                    f"{opened.name}: is for {field} {found[field]}, not {listed(valid)}"
                )
        airflow = image.airflow or "unknown"
        message(f"{opened.name}: {build.identity}, Airflow {airflow} for {build.platform}")

    with source.opened(file or place or "", settings.ca_bundle_file, message) as opened:
        host = build_host.find(settings, start=True, announce=message)
        image, build = archive.load(host.client, opened.name, opened.chunks, accept)
    message(f"{build.identity}: loaded {image.reference}")
