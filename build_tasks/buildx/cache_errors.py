"""Find cache imports and exports that failed: BuildKit itself continues, with at most a message."""

from __future__ import annotations

import re
from dataclasses import replace

from build_tasks.buildx.classification import last_error
from build_tasks.errors import RegistryError
from build_tasks.history import vertex_names
from build_tasks.history.record import BuildRecord, CacheUse, StepKind
from build_tasks.model.build import BuildSpec
from build_tasks.text.formatting import shorten

#: Errors of BuildKit and containerd for a layer of an imported cache that cannot be fetched; it is
#: fetched late, when a step needs it.
_LATE = re.compile(
    r"httpReadSeeker|could not fetch content descriptor|short read: expected|"
    r"failed to read expected number of bytes|failed to copy: .*EOF|missing descriptor handlers|"
    r"unexpected commit digest"
)
_PUSH = re.compile(r"failed to push")
_URL = re.compile(r"https?://[^/\s\"]+/v2/(?P<path>[^\s\"]+?)/(?:blobs|manifests)/")
#: The end of a reference: a tag, a digest, both or neither.
_TAG = re.compile(r"(?::[^:/@]+)?(?:@[^@]*)?$")
_PREFIX = re.compile(r"^(?:failed to configure registry cache importer: |error writing \w+ blob: )")
#: A line of BuildKit's plain display, and an error in its display for terminals.
_PLAIN = re.compile(r"^#(?P<number>\d+) (?P<text>.*)$", re.MULTILINE)
_DRAWN = re.compile(
    r"=> ERROR (?:importing cache manifest from (?P<reference>\S+)|"
    r"(?P<export>exporting cache to |exporting to GitHub Actions Cache))"
)
UNKNOWN = "BuildKit does not say why"


def notes(record: BuildRecord, spec: BuildSpec) -> list[str]:
    """Return a line for each cache that was not read or not written.

    A reference that does not exist is no error: a first build has to write it.
    """
    written = spec.cache.export.reference if spec.cache.export else ""
    lines = []
    for use in record.imports:
        if use.absent:
            writes = ", this build writes it" if use.reference == written else ""
            lines.append(f"no cache yet: {use.reference} (first build of this branch){writes}")
    return [*lines, *(f"warning: {problem}" for problem in _problems(record, absent=False))]


def strict(record: BuildRecord, spec: BuildSpec) -> RegistryError | None:
    """Return the error that `--strict-cache` makes of a cache that was not read or not written.

    A reference that does not exist counts only if no other was read and none is written: then
    every build is without a cache, and nobody would notice.
    """
    read = any(not use.error for use in record.imports)
    excused = read or (record.export is not None and not record.export.error)
    problems = _problems(record, absent=not excused)
    if not problems:
        return None
    built = f"the image is built: {record.digest}" if record.digest else "the build succeeded"
    return RegistryError(f"{spec.identity}: {'; '.join(problems)} (--strict-cache; {built})")


def _problems(record: BuildRecord, *, absent: bool) -> list[str]:
    """Return which caches were not read and written, with or without those that do not exist."""
    problems = [
        f"the cache {use.reference} was not read: {reason(use.error)}"
        for use in record.imports
        if use.error and (absent or not use.absent)
    ]
    export = export_problem(record)
    return [*problems, export] if export else problems


def export_problem(record: BuildRecord) -> str:
    """Return why the cache was not written; empty if it was, or if none is written."""
    use = record.export
    if not use or not use.error:
        return ""
    return f"the cache was not written to {use.reference}: {reason(use.error)}"


def lost(spec: BuildSpec, message: str, record: BuildRecord) -> dict[str, str]:
    """Return the cache references that failed a build although they had been read, with the error.

    BuildKit takes a step for done as soon as a cache's manifest has it, and fails the build if the
    step's layer cannot be fetched when it is needed.
    `message` is what buildx wrote last; `record` has what is known of the build's events.
    """
    error = last_error(message)
    if not _LATE.search(error) or _PUSH.search(error) or broken_base(record):
        return {}
    unread = {use.reference for use in record.imports if use.error}
    references = [source.reference for source in spec.cache.imports]
    suspects = [reference for reference in references if reference not in unread]
    if url := _URL.search(error):
        # A layer of another repository is a base image's: building again would not help.
        # A reference without a registry is in Docker Hub's library.
        paths = {name: f"/library/{_TAG.sub('', name)}" for name in suspects}
        suspects = [name for name in suspects if paths[name].endswith(f"/{url['path']}")]
    return dict.fromkeys(suspects, error)


def broken_base(record: BuildRecord) -> str:
    """Return the base image of which a step lacks a layer; empty if there is none.

    A step needs the layers of the steps and of the image below it. If none of these steps comes
    from a cache, a layer that cannot be fetched is the image's.
    """
    failed = [step for step in record.dockerfile_steps if step.error]
    below = record.below(*failed)
    needed = [step for step in record.steps if step.digest in below]
    late = any(_LATE.search(step.error) for step in failed)
    if not late or any(step.cached and step.kind is StepKind.STEP for step in needed):
        return ""
    parsed = [vertex_names.parse(step.name) for step in needed if step.kind is StepKind.BASE]
    return parsed[0].text.removeprefix("FROM ").partition("@")[0] if len(parsed) == 1 else ""


def parse_display(text: str, spec: BuildSpec) -> tuple[tuple[CacheUse, ...], str]:
    """Return the failed imports, and the error of the export, from BuildKit's own display."""
    uses: dict[str, CacheUse] = {}
    export = ""
    names: dict[str, str] = {}
    for match in _PLAIN.finditer(text):
        name = names.setdefault(match["number"], match["text"])
        if match["text"].startswith("ERROR: "):
            error = match["text"].removeprefix("ERROR: ")
            if reference := vertex_names.parse(name).reference:
                uses[reference] = CacheUse(reference, error)
            elif vertex_names.is_cache_export(name):
                export = error
    for match in _DRAWN.finditer(text):
        if match["export"]:
            export = export or UNKNOWN
            continue
        shown = match["reference"].rstrip(".")  # the display cuts lines at the terminal's width
        references = [source.reference for source in spec.cache.imports]
        whole = next((name for name in references if name.startswith(shown)), shown)
        uses.setdefault(whole, CacheUse(whole, UNKNOWN))
    return tuple(uses.values()), export


def with_names(record: BuildRecord, spec: BuildSpec) -> BuildRecord:
    """Name the imported caches as the options do.

    BuildKit calls a cache outside a registry by its type and a number: `gha:2083710910682386358`.
    """
    imports = []
    for use in record.imports:
        kind, _, number = use.reference.partition(":")
        names = [source.reference for source in spec.cache.imports if source.type == kind]
        known = number.isdecimal() and len(names) == 1
        imports.append(replace(use, reference=names[0]) if known else use)
    return replace(record, imports=tuple(imports))


def reason(error: str) -> str:
    """Return BuildKit's error of a cache in one line."""
    return shorten(_PREFIX.sub("", error.partition("\n")[0]), 240)
