"""What a build is made of, and the label that says so."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from build_tasks import paths
from build_tasks.errors import DockerfileError, UsageError
from build_tasks.inputs import dockerfile, fingerprint
from build_tasks.inputs.dockerfile import inputs as steps
from build_tasks.inputs.fingerprint import LABEL, Inputs
from build_tasks.model.build import EPOCH, BuildSpec

#: What makes of a path a pattern, which may match nothing, or a text that is not known here.
_WILD = re.compile(r"[*?\[\\$]")


def collect(spec: BuildSpec) -> Inputs:
    """Return the inputs of a build: those that its label has, if it has one.

    Raises:
        UsageError: the Dockerfile cannot be read.
        DockerfileError: a heredoc in it has Windows line ends.
    """
    if spec.inputs.content:
        return spec.inputs.content  # the Dockerfile may have been edited since
    try:
        text = paths.read_text(spec.inputs.dockerfile)
    except FileNotFoundError as error:
        raise UsageError(f"{spec.inputs.dockerfile}: cannot be read: {error.strerror}") from None
    instructions = dockerfile.parse(text)
    line = dockerfile.carriage_return(instructions)
    if line:
        raise DockerfileError(
            f"{spec.inputs.dockerfile}: line {line}: the heredoc has Windows line ends (CRLF), "
            "which its script would get: convert the file to LF (.gitattributes: eol=lf)"
        )
    return fingerprint.gather(instructions, dict(spec.inputs.arguments), spec.inputs.files)


def add_fingerprint_label(spec: BuildSpec) -> BuildSpec:
    """Return a build whose image says what it is made of.

    A label of the command line is part of the image's configuration alone: no step is repeated.
    A Dockerfile that declares SOURCE_DATE_EPOCH gets it, and its steps depend on it.

    Raises:
        UsageError: the Dockerfile cannot be read, or nothing of what a step reads enters the build.
        DockerfileError: a heredoc in it has Windows line ends.
    """
    inputs = collect(spec)
    if spec.output.epoch and EPOCH in dockerfile.declared(inputs.instructions):
        arguments = (*spec.inputs.arguments, (EPOCH, spec.output.epoch))
        spec = replace(spec, inputs=replace(spec.inputs, arguments=arguments))
        inputs = collect(spec)
    _refuse_missing(spec, inputs)
    labels = (*spec.inputs.labels, (LABEL, inputs.fingerprint))
    return replace(spec, inputs=replace(spec.inputs, labels=labels, content=inputs))


def _refuse_missing(spec: BuildSpec, made_of: Inputs) -> None:
    """Raise UsageError if a step reads a path of the context of which nothing enters.

    BuildKit would say that a checksum cannot be computed, and not why.
    """
    replaced = {name for name, _ in spec.inputs.contexts}
    for use in steps.needed(made_of.instructions, dict(spec.inputs.arguments)):
        for path in () if use.stage.name in replaced else use.files:
            if path == "." or _WILD.search(path):
                continue
            if not replace(use, files=(path,), stages=()).reads(spec.inputs.files):
                raise UsageError(
                    f"{spec.inputs.dockerfile.name}: line {use.instruction.line}: nothing of "
                    f"{path} enters the build: {_reason(spec.inputs.dockerfile.parent / path)}"
                )


def _reason(path: Path) -> str:
    """Return why nothing of a path enters a build."""
    if path.is_symlink():
        return "it is a link, and links are not followed"
    if not path.exists():
        return "it is not there"
    if path.is_dir() and not any(one.is_file() for one in path.rglob("*")):
        return "it has no file (to build without, git add an empty .gitkeep)"
    return (
        "its files are not added to git (git add, or --untracked), ignored by git (--ignored), or "
        "left out by .dockerignore"
    )
