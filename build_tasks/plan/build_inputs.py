"""The inputs of a build, and the label with their fingerprint."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from build_tasks.errors import DockerfileError, UsageError
from build_tasks.inputs import dockerfile, fingerprint
from build_tasks.inputs.ca_bundle import LIMIT
from build_tasks.inputs.dockerfile import inputs as steps
from build_tasks.inputs.dockerfile.inputs import EPOCH
from build_tasks.inputs.fingerprint import BASE_ARGUMENT, IMAGE_ARGUMENT, LABEL, Inputs
from build_tasks.model import labels
from build_tasks.model.build import CA_BUNDLE, BuildInputs, BuildSpec
from build_tasks.model.matrix import Build, ImageKind
from build_tasks.plan import dockerfiles, step_secrets
from build_tasks.plan.build_host import Base, BuildHost
from build_tasks.plan.image_content import ImageContent

#: A path that is a pattern, which may match nothing, or that is only known to BuildKit.
_PATTERN = re.compile(r"[*?\[\\$]")


def for_build(build: Build, content: ImageContent, host: BuildHost, base: Base) -> BuildInputs:
    """Return the inputs of one build."""
    files = {
        f"{name}:{path}" if name else path: text
        for name, prepared in content.contexts.items()
        for path, text in prepared.files.items()
    }
    name = IMAGE_ARGUMENT if build.name else BASE_ARGUMENT
    table = labels.labels(
        build,
        airflow=content.airflow,
        base_image=content.own_base or base.pinned,
        revision=content.revision,
        uid=host.settings.prod_uid if build.kind is ImageKind.PROD else labels.UID,
    )
    return BuildInputs(
        dockerfile=content.dockerfile.file,
        target=content.dockerfile.target,
        context=content.contexts[""].folder,
        arguments=(*([(name, base.reference)] if base.reference else []), *content.arguments),
        own_base=content.own_base,
        base_argument=name,
        base_fingerprint=base.fingerprint,
        base_digest=base.digest,
        secrets=(*host.secrets, *content.secrets),
        ssh=step_secrets.ssh(host.settings),
        contexts=(
            *((name, item.folder) for name, item in content.contexts.items() if name),
            *host.contexts,
        ),
        files=files,
        labels=table,
    )


def collect(spec: BuildSpec) -> Inputs:
    """Return what the fingerprint of a build is made of.

    Raises:
        UsageError: the Dockerfile cannot be read.
        DockerfileError: a heredoc in it has Windows line endings.
    """
    if spec.inputs.content:
        return spec.inputs.content  # the Dockerfile may have been edited since
    file = spec.inputs.dockerfile
    instructions = dockerfiles.up_to(file, spec.inputs.target, str(file))
    line = dockerfile.carriage_return(instructions)
    if line:
        raise DockerfileError(
            f"{file}: line {line}: the heredoc has Windows line endings (CRLF), which its script "
            "would get: convert the file to LF (.gitattributes: eol=lf)"
        )
    return fingerprint.gather(
        instructions,
        dict(spec.inputs.arguments),
        spec.inputs.files,
        "" if spec.inputs.own_base else spec.inputs.base_argument,
        spec.inputs.base_fingerprint,
    )


def add_fingerprint_label(spec: BuildSpec, root: Path) -> BuildSpec:
    """Return the build with the fingerprint of its inputs as a label.

    A label of the command line is a part of the image's configuration alone: no step runs again.
    A Dockerfile that declares SOURCE_DATE_EPOCH gets it, and its steps depend on it. An error says
    what the folder `root`, of which the build context is a snapshot, has instead.

    Raises:
        UsageError: the Dockerfile cannot be read, or a path that a step reads is not in the build.
        DockerfileError: a heredoc in it has Windows line endings.
    """
    content = collect(spec)
    if spec.output.epoch and EPOCH in dockerfile.declared(content.instructions):
        arguments = (*spec.inputs.arguments, (EPOCH, spec.output.epoch))
        spec = replace(spec, inputs=replace(spec.inputs, arguments=arguments))
        content = collect(spec)
    _refuse_missing(spec, content, root)
    _refuse_large_bundle(spec, content)
    table = (*spec.inputs.labels, (LABEL, content.fingerprint))
    return replace(spec, inputs=replace(spec.inputs, labels=table, content=content))


def _refuse_missing(spec: BuildSpec, content: Inputs, root: Path) -> None:
    """Raise UsageError if a step reads a path of which the context has no file.

    BuildKit only reports that it cannot compute a checksum.
    """
    inputs = spec.inputs
    replaced = {name for name, _ in inputs.contexts}
    for use in steps.needed(content.instructions, dict(inputs.arguments)):
        outside = next((path for path in use.files if path.startswith("../")), "")
        if outside and use.stage.name not in replaced:
            raise UsageError(
                f"{_name(spec)}: line {use.instruction.line}: {outside} is outside of "
                f"the build context {root}: a step reads only what is in that folder"
            )
        for path in () if use.stage.name in replaced else use.files:
            if path == "." or _PATTERN.search(path):
                continue
            if not replace(use, files=(path,), stages=()).reads(inputs.files):
                raise UsageError(
                    f"{_name(spec)}: line {use.instruction.line}: nothing of {path} "
                    f"enters the build: {_reason(root, path)}"
                )


def _refuse_large_bundle(spec: BuildSpec, content: Inputs) -> None:
    """Raise UsageError if steps expect the CA bundle as a secret alone, and it is too large."""
    inputs = spec.inputs
    text = "\n".join(step.head for step in content.instructions)
    is_secret, is_context = (f"{key}={CA_BUNDLE}" in text for key in ("id", "from"))
    if CA_BUNDLE in dict(inputs.contexts) and is_secret and not is_context:
        raise UsageError(
            f"{_name(spec)}: the CA bundle has more than {LIMIT // 1024} KiB, too much "
            f"for a secret: let steps mount the build context {CA_BUNDLE}, too (docs/building.md)"
        )


def _name(spec: BuildSpec) -> str:
    """Return the name of a Dockerfile; those of own images mostly have the same one."""
    image, file = spec.build.name, spec.inputs.dockerfile.name
    return f"{image}: {file}" if image else file


def _reason(root: Path, name: str) -> str:
    """Return why the context has no file of a path."""
    path = root / name
    for part in (path, *path.parents):
        if part == root:
            break
        if part.is_symlink():
            link = "it" if part == path else str(part.relative_to(root))
            return f"{link} is a link, and links are not followed"
    if not path.exists():
        return "it does not exist"
    if path.is_dir() and not any(item.is_file() for item in path.rglob("*")):
        return "it has no file (to build without, git add an empty .gitkeep)"
    return (
        "its files are not added to git (git add, or --context-untracked), ignored by git "
        "(--context-ignored), or excluded by .dockerignore"
    )
