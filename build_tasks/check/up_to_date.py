"""Ask whether images are what a build would make now; nothing is built, and nothing changes.

Everything is asked at once: the engine, the registry, and the registry of the base image.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from textwrap import shorten

from build_tasks import process
from build_tasks.buildx.toolchain import Client
from build_tasks.check import image_metadata
from build_tasks.check.image_metadata import ImageIndex, PlatformImage
from build_tasks.check.verdict import Finding, Verdict
from build_tasks.config.fields import FIELDS
from build_tasks.config.options import Options
from build_tasks.config.settings import FILE_VARIABLE, Settings
from build_tasks.errors import ImagesError
from build_tasks.history import recorded_inputs
from build_tasks.history.record import BuildRecord
from build_tasks.inputs import fingerprint
from build_tasks.inputs.fingerprint import BASE_ARGUMENT, LABEL, Inputs
from build_tasks.model import matrix
from build_tasks.model.build import BuildSpec, Output
from build_tasks.plan import build_inputs, planner
from build_tasks.plan.build_host import BuildHost

#: Questions at a time.
QUESTIONS = 8
#: Changes that are told, the rest are counted; and the characters of each.
SHOWN = 5
WIDTH = 100

#: What a place has, or why it does not answer.
Answer = PlatformImage | str | None
#: Returns the record of a build, by its name and fingerprint, if one is at hand.
Remember = Callable[[str, str], BuildRecord | None]


def check(
    options: Options,
    settings: Settings,
    *,
    remember: Remember,
    announce: Callable[[str], None],
) -> list[Verdict]:
    """Return what is known of each image that the options select.

    Args:
        options: what a person gave.
        settings: the effective settings.
        remember: finds records, to say which file or argument changed.
        announce: is told what has to be fetched to know the inputs.

    Raises:
        ImagesError: an option is wrong, or there is no engine.
    """
    tags = [matrix.parse_tag(tag, "--tag") for tag in options.items("tag")]
    quiet = Options({**options.given, "dry-run": True, "tag": None})
    where, specs = planner.plan_builds(
        quiet, settings, output=Output.NONE, push_cache=False, announce=announce
    )
    with process.pool(QUESTIONS) as pool:
        asked = [(spec, _ask(pool, where, spec, tags, options)) for spec in specs]
        return [_verdict(spec, futures, options, remember) for spec, futures in asked]


def _ask(
    pool: ThreadPoolExecutor,
    host: BuildHost,
    spec: BuildSpec,
    tags: Sequence[str],
    options: Options,
) -> dict[str, tuple[str, Future[Answer]]]:
    """Return the questions about one build, by whom they are put to."""
    reference = f"{spec.output.image}:{tags[0] if tags else spec.build.tag}"
    base = dict(spec.inputs.arguments).get(BASE_ARGUMENT, "")
    asked = {"base": (base, pool.submit(_base, host.client, base, spec))}
    if not options.flag("remote"):
        asked["engine"] = (reference, pool.submit(_engine, host.client, reference, spec))
    if not options.flag("local"):
        asked["registry"] = (reference, pool.submit(_of_registry, host.client, reference, spec))
    return asked


def _verdict(
    spec: BuildSpec,
    asked: dict[str, tuple[str, Future[Answer]]],
    options: Options,
    remember: Remember,
) -> Verdict:
    inputs = build_inputs.collect(spec)
    base = asked.pop("base")[1].result()
    findings = []
    for place, (reference, future) in asked.items():
        answer = future.result()
        if not isinstance(answer, PlatformImage):
            findings.append(Finding(place, reference, problem=answer or ""))
            continue
        parts = changed(answer, inputs, base)
        label = answer.labels.get(LABEL, "")
        kept = remember(spec.identity, label) if parts and label else None
        findings.append(
            Finding(
                place,
                reference,
                there=True,
                digest=answer.digest,
                changed=parts,
                details=_details(parts, kept, inputs) if kept else (),
            )
        )
    unasked = base if isinstance(base, str) else "" if base else f"there is no {inputs.base}"
    return Verdict(spec.identity, _command(spec, options), tuple(findings), unasked)


def changed(image: PlatformImage, inputs: Inputs, base: Answer) -> tuple[str, ...]:
    """Return the parts in which an image is not what a build would make now."""
    parts = fingerprint.changed(image.labels.get(LABEL, ""), inputs.fingerprint)
    moved = isinstance(base, PlatformImage) and not fingerprint.begins_with(
        image.layers, base.layers
    )
    return (*parts, "base") if moved and "base" not in parts else parts


def _details(changed: Sequence[str], kept: BuildRecord, inputs: Inputs) -> tuple[str, ...]:
    before = recorded_inputs.recorded(kept)
    found = []
    for part in changed:
        told = fingerprint.details(part, before, inputs) or ["moved"] * (part == "base")
        found += [f"{part} ({shorten(one, WIDTH, placeholder=' ...')})" for one in told]
    more = len(found) - SHOWN
    return (*found[:SHOWN], *([f"and {more} more"] if more > 0 else []))


def _command(spec: BuildSpec, options: Options) -> str:
    """Return the command that makes a build, with the options that a person gave here."""
    build = spec.build
    known = {item.option for item in FIELDS} | {"tag"}
    words: list[str] = []
    for name, value in options.given.items():
        if name not in known or not value or name == "platform":
            continue
        words += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    pinned = f"-{build.platform.architecture}" if options.text("platform") else ""
    command = (
        "nox",
        "-s",
        f"build_{build.kind}-{build.python}{pinned}",
        *(["--", *words] if words else []),
    )
    file = os.environ.get(FILE_VARIABLE)
    return shlex.join(("env", f"{FILE_VARIABLE}={file}", *command) if file else command)


def _engine(client: Client, reference: str, spec: BuildSpec) -> Answer:
    try:
        return image_metadata.of_engine(client, reference, spec.build.platform)
    except ImagesError as error:
        return str(error)


def _base(client: Client, reference: str, spec: BuildSpec) -> Answer:
    return spec.run.refused or _of_registry(client, reference, spec)


def whole(client: Client, reference: str, builder: str) -> ImageIndex | str | None:
    """Return what the registry has under a name, or why it is silent."""
    try:
        return image_metadata.of_registry(client, reference, builder)
    except ImagesError as error:
        return str(error)


def _of_registry(client: Client, reference: str, spec: BuildSpec) -> Answer:
    answer = whole(client, reference, spec.run.builder)
    return answer.of(spec.build.platform) if isinstance(answer, ImageIndex) else answer
