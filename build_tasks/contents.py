"""What a build is made of, and the label that says so."""

from __future__ import annotations

from dataclasses import replace

from build_tasks import dockerfile, freshness, places
from build_tasks.errors import DockerfileError, UsageError
from build_tasks.freshness import LABEL, Inputs
from build_tasks.spec import EPOCH, BuildSpec


def gather(spec: BuildSpec) -> Inputs:
    """Return the inputs of a build: those that its label has, if it has one.

    Raises:
        UsageError: the Dockerfile cannot be read.
        DockerfileError: a heredoc in it has Windows line ends.
    """
    if spec.inputs:
        return spec.inputs  # the Dockerfile may have been edited since
    try:
        text = places.read_text(spec.dockerfile)
    except FileNotFoundError as error:
        raise UsageError(f"{spec.dockerfile}: cannot be read: {error.strerror}") from None
    instructions = dockerfile.parse(text)
    line = dockerfile.carriage_return(instructions)
    if line:
        raise DockerfileError(
            f"{spec.dockerfile}: line {line}: the heredoc has Windows line ends (CRLF), which its "
            "script would get: convert the file to LF (.gitattributes: eol=lf)"
        )
    return freshness.gather(instructions, dict(spec.arguments), spec.files)


def labelled(spec: BuildSpec) -> BuildSpec:
    """Return a build whose image says what it is made of.

    A label of the command line is part of the image's configuration alone: no step is repeated.
    A Dockerfile that declares SOURCE_DATE_EPOCH gets it, and its steps depend on it.
    """
    inputs = gather(spec)
    if spec.epoch and EPOCH in dockerfile.declared(inputs.instructions):
        spec = replace(spec, arguments=(*spec.arguments, (EPOCH, spec.epoch)))
        inputs = gather(spec)
    return replace(spec, labels=(*spec.labels, (LABEL, inputs.fingerprint)), inputs=inputs)
