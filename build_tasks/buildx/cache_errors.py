"""What was wrong with the caches of a build: BuildKit builds on, and says it in passing at most."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from build_tasks.errors import RegistryError
from build_tasks.history.record import BuildRecord, CacheUse, StepKind
from build_tasks.history.vertex_names import is_cache_export
from build_tasks.model.build import BuildSpec
from build_tasks.text.formatting import shorten

#: Layers of a cache that was read are fetched when they are needed, late: these are BuildKit's and
#: containerd's words for one that could not be.
_LATE = re.compile(
    r"httpReadSeeker|could not fetch content descriptor|short read: expected|"
    r"failed to read expected number of bytes|failed to copy: .*EOF|missing descriptor handlers"
)
_PUSH = re.compile(r"failed to push")
_URL = re.compile(r"https?://[^/\s\"]+/v2/(?P<path>[^\s\"]+?)/(?:blobs|manifests)/")
#: What follows the path of a reference: a tag, a digest, both or neither.
_TAG = re.compile(r"(?::[^:/@]+)?(?:@[^@]*)?$")
_PREFIX = re.compile(r"^(?:failed to configure registry cache importer: |error writing \w+ blob: )")
#: As BuildKit's plain display has it, and its display for terminals.
_PLAIN = re.compile(r"^#(?P<number>\d+) (?P<text>.*)$", re.MULTILINE)
_DRAWN = re.compile(
    r"=> ERROR (?:importing cache manifest from (?P<reference>\S+)|"
    r"(?P<export>exporting cache to |exporting to GitHub Actions Cache))"
)
_IMPORTING = "importing cache manifest from "
UNSAID = "BuildKit does not say why"


def notes(record: BuildRecord, spec: BuildSpec) -> list[str]:
    """Return a line for each cache that was not read or not written.

    That a reference is not there is no fault: somebody has to write it first.

    Args:
        record: the build, as its events tell it.
        spec: what was asked for.
    """
    lines = []
    for use in record.imports:
        if not use.error:
            continue
        if use.absent:
            writes = ", this build writes it" if use.reference == _written(spec) else ""
            lines.append(f"no cache yet: {use.reference} (first build of this branch){writes}")
        else:
            lines.append(f"warning: the cache {use.reference} was not read: {reason(use.error)}")
    problem = export_problem(record)
    return [*lines, f"warning: {problem}"] if problem else lines


def export_problem(record: BuildRecord) -> str:
    """Return why the cache was not written, empty if it was or no build writes one."""
    if not (record.export and record.export.error):
        return ""
    why = reason(record.export.error)
    return f"the cache was not written to {record.export.reference}: {why}"


def strict(record: BuildRecord, spec: BuildSpec) -> RegistryError | None:
    """Return the error that `--strict-cache` makes of a cache that was not read or not written.

    A reference that is not there counts only where nothing else was read and nothing is written
    in its place: then every build is a cold one, and nobody would notice.

    Args:
        record: the build, as its events tell it.
        spec: what was asked for.
    """
    read = any(not use.error for use in record.imports)
    excused = read or (record.export is not None and not record.export.error)
    bad = [use for use in record.imports if use.error and not (use.absent and excused)]
    said = [f"the cache {use.reference} was not read: {reason(use.error)}" for use in bad]
    if problem := export_problem(record):
        said.append(problem)
    if not said:
        return None
    made = f"the image is built: {record.digest}" if record.digest else "the build itself went well"
    return RegistryError(f"{spec.identity}: {'; '.join(said)} (--strict-cache; {made})")


def called_out(previous: BuildRecord | None, now: BuildRecord) -> list[str]:
    """Return a line on the steps that ran although a cache that was read has had them.

    Args:
        previous: the build's record of before, if there is one.
        now: its record of now.
    """
    from build_tasks.history.explain.unused import missed  # noqa: PLC0415 - start-up time

    steps = missed(previous, now)
    if not steps:
        return []
    seconds = sum(step.seconds for step in steps)
    more = f" and {len(steps) - 1} more" if len(steps) > 1 else ""
    read = ", ".join(use.reference for use in now.imports if not use.error)
    what = f"{shorten(steps[0].name, 80)}{more}, which ran for {seconds:.1f} s"
    return [f"warning: the cache {read} was read and should have had {what}"]


def lost(spec: BuildSpec, message: str, record: BuildRecord) -> dict[str, str]:
    """Return the references that made a build fail though they had been read, and why.

    BuildKit takes a step for done as soon as a cache's manifest says so, and fails the build if
    the step's layer cannot be fetched when it is needed.

    Args:
        spec: the build, with the references that it was to read.
        message: what buildx ended with.
        record: the build, as far as its events told it.
    """
    errors = [line for line in message.splitlines() if line.lower().startswith("error: ")]
    why = errors[-1] if errors else ""
    if not spec.cache.imports or not _LATE.search(why) or _PUSH.search(why):
        return {}
    if broken_base(record):
        return {}
    unread = {use.reference for use in record.imports if use.error}
    named = [one.reference for one in spec.cache.imports]
    suspects = [one for one in named if one not in unread]
    where = _URL.search(why)
    if where:
        # Else the layer is another's: a base image's, which building again would not mend.
        place = f"/{where['path']}"
        suspects = [one for one in suspects if _repository(one).endswith(place)]
    text = re.sub(r"^ERROR: (?:failed to build: )?(?:failed to solve: )?", "", why)
    return dict.fromkeys(suspects, text)


def broken_base(record: BuildRecord) -> str:
    """Return the base image of which a step could not have a layer; empty if there is none.

    A step needs the layers of the steps and of the image that it stands on. Where none of those
    steps is from a cache, a layer that cannot be fetched is the image's.

    Args:
        record: the build, as far as its events told it.
    """
    steps = {step.digest: step for step in record.steps}
    failed = [step for step in record.steps if step.error and step.kind is StepKind.STEP]
    below = {one.digest for one in failed}
    while more := {name for one in below if one in steps for name in steps[one].inputs} - below:
        below |= more
    found = [steps[name] for name in below if name in steps]
    late = any(_LATE.search(step.error) for step in failed)
    if not late or any(step.cached and step.kind is StepKind.STEP for step in found):
        return ""
    bases = [step.name.partition(" FROM ")[2] for step in found if step.kind is StepKind.BASE]
    return bases[0].partition("@")[0] if len(bases) == 1 else ""


def seen(text: str, spec: BuildSpec) -> tuple[tuple[CacheUse, ...], str]:
    """Return the caches that were not read, and why one was not written, from BuildKit's display.

    Args:
        text: the last of what BuildKit showed.
        spec: what was asked for.
    """
    uses: dict[str, CacheUse] = {}
    export = ""
    names: dict[str, str] = {}
    for found in _PLAIN.finditer(text):
        said = found["text"]
        name = names.setdefault(found["number"], said)
        if said.startswith("ERROR: "):
            error = said.removeprefix("ERROR: ")
            if name.startswith(_IMPORTING):
                reference = name.removeprefix(_IMPORTING)
                uses[reference] = named(CacheUse(reference, error), spec)
            elif is_cache_export(name):
                export = error
    for reference, exported in _drawn(text):
        if exported:
            export = export or UNSAID
        else:
            whole = next(
                (
                    one.reference
                    for one in spec.cache.imports
                    if one.reference.startswith(reference)
                ),
                reference,
            )
            uses.setdefault(whole, CacheUse(whole, UNSAID))
    return tuple(uses.values()), export


def named(use: CacheUse, spec: BuildSpec) -> CacheUse:
    """Return a cache under the name that a person gave it.

    BuildKit calls what is in no registry by its type and a number, like `gha:2083710910682386358`.
    """
    kind, _, number = use.reference.partition(":")
    places = [one.reference for one in spec.cache.imports if one.type == kind]
    return replace(use, reference=places[0]) if number.isdecimal() and len(places) == 1 else use


def reason(error: str) -> str:
    """Return why a cache was not read or written, in one line."""
    return shorten(_PREFIX.sub("", error.partition("\n")[0]), 240)


def _repository(reference: str) -> str:
    """Return what a URL's path has at its end: a short name is in Docker Hub's library."""
    return f"/library/{_TAG.sub('', reference)}"


def _written(spec: BuildSpec) -> str:
    return spec.cache.export.reference if spec.cache.export else ""


def _drawn(text: str) -> Iterator[tuple[str, bool]]:
    """Yield what BuildKit's display for terminals calls an error; it cuts lines at their width."""
    for found in _DRAWN.finditer(text):
        yield (found["reference"] or "").rstrip("."), bool(found["export"])
