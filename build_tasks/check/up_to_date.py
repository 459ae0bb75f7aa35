"""Check whether images are what a build would make now; nothing is built or changed.

The engine, the registry, and the registry of the base image are queried concurrently.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import shorten
from typing import NamedTuple

from build_tasks import process
from build_tasks.buildx.toolchain import Client
from build_tasks.check import image_metadata
from build_tasks.check.image_metadata import PlatformImage
from build_tasks.check.verdict import Finding, Verdict
from build_tasks.config import parsing
from build_tasks.config.options import Options
from build_tasks.config.settings import FIELDS, Settings
from build_tasks.errors import ImagesError
from build_tasks.history import recipe
from build_tasks.history.record import BuildRecord
from build_tasks.inputs import fingerprint
from build_tasks.inputs.fingerprint import LABEL, Inputs
from build_tasks.model.build import BuildSpec, Output
from build_tasks.plan import build_inputs, planner
from build_tasks.process import Announce
from build_tasks.text import hints

#: Concurrent queries.
QUERIES = 8
#: Changes that are shown, and the characters of each; further changes are counted.
SHOWN = 5
WIDTH = 100

#: An image, None where there is none, or the error of a query.
Answer = PlatformImage | str | None
Answers = dict[str, Answer]  # by place
#: Returns the record of a build, by its identity and fingerprint, if there is one.
FindRecord = Callable[[str, str], BuildRecord | None]


def check(
    options: Options, settings: Settings, *, find_record: FindRecord, announce: Announce
) -> list[Verdict]:
    """Return a verdict on each image that the options select, after those that it stands on.

    Args:
        options: the options of the command.
        settings: the effective settings.
        find_record: finds the record that tells which file or argument changed.
        announce: is told what has to be fetched to compute the inputs.

    Raises:
        ImagesError: an option is wrong, or there is no engine.
    """
    tags = [parsing.tag(tag, "--tag") for tag in options.items("tag")]
    dry_run = Options({**options.given, "dry-run": True, "tag": None})
    host, specs = planner.plan_builds(
        dry_run, settings, output=Output.NONE, push_cache=False, announce=announce
    )
    references = [f"{spec.output.image}:{(*tags, spec.build.tag)[0]}" for spec in specs]
    places = ["base"]
    places += [] if options.flag("remote") else ["engine"]
    places += [] if options.flag("local") else ["registry"]
    with process.pool(QUERIES) as pool:
        queries = [
            {
                place: pool.submit(_query, host.client, spec, reference, place)
                for place in places
                if place != "base" or (spec.inputs.base and not spec.needs)
            }
            for spec, reference in zip(specs, references, strict=True)
        ]
    verdicts: dict[str, Verdict] = {}
    images: dict[str, Answers] = {}
    for spec, reference, futures in zip(specs, references, queries, strict=True):
        answers = {place: future.result() for place, future in futures.items()}
        upstream = answers.pop("base", None)
        known = _Known(answers, upstream, images.get(spec.needs), verdicts.get(spec.needs))
        images[spec.identity] = answers
        verdicts[spec.identity] = _verdict(spec, reference, known, options, find_record)
    return [*verdicts.values()]


def _query(client: Client, spec: BuildSpec, reference: str, place: str) -> Answer:
    """Ask the engine or the registry for an image, or the registry for the base image."""
    platform = spec.build.platform
    if place == "base":
        if spec.run.refused:
            return str(spec.run.refused)
        reference = spec.inputs.base
    try:
        if place == "engine":
            return image_metadata.of_engine(client, reference, platform)
        index = image_metadata.of_registry(client, reference, spec.run.builder)
        return index.images.get(platform)
    except ImagesError as error:
        return str(error)


class _Known(NamedTuple):
    """What is known of an image and of its base: that of a registry, or another of the project.

    Args:
        images: what each place has of the image.
        upstream: what the registry has of the base image.
        bases: what each place has of the project's image that it stands on; None if its base is
            upstream's.
        base_verdict: whether that image is up to date.
    """

    images: Answers
    upstream: Answer
    bases: Answers | None
    base_verdict: Verdict | None

    def base(self, place: str) -> Answer:
        """Return the base image that the image of a place has to stand on."""
        return self.upstream if self.bases is None else self.bases.get(place)

    def base_changed(self, place: str) -> bool:
        """Return whether the project's image that it stands on is out of date itself."""
        findings = self.base_verdict.findings if self.base_verdict else ()
        return any(finding.place == place and finding.changed for finding in findings)


def _verdict(
    spec: BuildSpec, reference: str, known: _Known, options: Options, find_record: FindRecord
) -> Verdict:
    inputs = build_inputs.collect(spec)
    findings = []
    for place, image in known.images.items():
        if not isinstance(image, PlatformImage):
            findings.append(Finding(place, reference, problem=image or ""))
            continue
        parts = changed_parts(image, inputs, known.base(place))
        if known.base_changed(place) and "base" not in parts:
            parts = (*parts, "base")
        label = image.labels.get(LABEL, "")
        record = find_record(spec.identity, label) if parts and label else None
        details = _details(parts, record, inputs) if record else ()
        if spec.needs:
            stale = f"base ({spec.needs} changed)"
            details = tuple(stale if text == "base (moved)" else text for text in details)
        findings.append(Finding(place, reference, True, image.digest, parts, details))
    there = [finding.place for finding in findings if finding.there]
    places = there if spec.needs else ["registry"] if spec.inputs.base else []
    unknown = [
        base or f"the {place} has no {spec.inputs.base}"
        for place in places
        if not isinstance(base := known.base(place), PlatformImage)
    ]
    return Verdict(spec.identity, _command(spec, options), tuple(findings), "; ".join(unknown))


def changed_parts(image: PlatformImage, inputs: Inputs, base: Answer) -> tuple[str, ...]:
    """Return the parts of the inputs that changed since an image was built."""
    parts = fingerprint.changed(image.labels.get(LABEL, ""), inputs.fingerprint)
    moved = isinstance(base, PlatformImage) and not fingerprint.begins_with(
        image.layers, base.layers
    )
    return (*parts, "base") if moved and "base" not in parts else parts


def _details(parts: Sequence[str], record: BuildRecord, inputs: Inputs) -> tuple[str, ...]:
    before = recipe.recorded(record)
    now = recipe.recorded(recipe.noted(record, inputs))  # redacted as the record is
    changes = [
        f"{part} ({shorten(detail, WIDTH, placeholder=' ...')})"
        for part in parts
        for detail in fingerprint.details(part, before, now) or ["moved"] * (part == "base")
    ]
    more = len(changes) - SHOWN
    return (*changes[:SHOWN], *([f"and {more} more"] if more > 0 else []))


def _command(spec: BuildSpec, options: Options) -> str:
    """Return the command that builds the image, with the options of this command."""
    build = spec.build
    names = {field.name for field in FIELDS} | {"tag"}
    words: list[str] = []
    for name, value in options.given.items():
        if name in names and value and name != "platform":
            for item in value if isinstance(value, list) else [value]:
                words += [f"--{name}"] if item is True else [f"--{name}", str(item)]
    architecture = build.platform.architecture if options.text("platform") else ""
    return hints.image("image.build", build.image_name, build.python, architecture, words)
