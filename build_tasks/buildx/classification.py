"""Classify the failure of a buildx command by its last error message.

The patterns match the messages of BuildKit and buildx 0.13 to 0.29. An error that matches none is
reported in its own words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from build_tasks import paths
from build_tasks.errors import (
    AuthError,
    CommandError,
    DependencyError,
    DiskError,
    DockerfileError,
    EngineError,
    ImagesError,
    MissingImage,
    NetworkError,
    RegistryError,
    StepError,
)
from build_tasks.history import step_names
from build_tasks.history.record import Step, StepKind
from build_tasks.history.vertex import CANCELED
from build_tasks.process import Completed
from build_tasks.text.formatting import shorten

#: Lines of a step's log that say nothing of its error.
_NOISE = re.compile(r"^\s*$|^[-=]+$|Sleeping|^\+ ")
_PREFIXES = re.compile(
    r"^(?:ERROR: |error: |failed to (?:build|solve): |rpc error: code = \w+ desc = |target \S+: )+"
)
_STEP = re.compile(r'process "(?P<command>.*)" did not complete successfully: exit code: (\d+)')
#: The failed step and its log, as BuildKit's own display repeats them at the end.
_BLOCK = re.compile(r"^ > (?P<step>.+):\n(?P<log>(?:(?!------$).*\n)*)------$", re.MULTILINE)
_TIMESTAMP = re.compile(r"^\d+\.\d+ ")
_ABSENT = re.compile(r"\S+: not found")
#: What BuildKit says of a base image, which it names three times.
_BASE_IMAGE = re.compile(
    r"^(?:\S+: )?failed to resolve source metadata for (?P<image>\S+): (?:(?P=image): )?"
)
#: What apt, pip, uv, git and curl print where a server cannot be reached.
_UNREACHABLE = re.compile(
    r"(?:could not|unable to|failed to) connect to|could not resolve host|"
    r"temporary failure (?:in name )?resol|"
    r"connection (?:timed out|reset|failed|refused)|error sending request|operation timed out|"
    r"read timed out|max retries exceeded|network is unreachable|"
    r"\b50[0234] (?:server error|bad gateway|service unavailable|gateway time)",
    re.IGNORECASE,
)
#: The variable that selects a docker context, instead of an option of docker.
_OTHER_CONTEXT = re.compile(r"use `docker --context=(\S+) buildx` to switch to context .*")
_SELECT_CONTEXT = r"it is the engine of another docker context: select it with DOCKER_CONTEXT=\1"
_CREDENTIALS = re.compile(r"error getting credentials - err: (?P<why>.*?)(?:, out: `.*`)?$")
#: The image that BuildKit asked a registry about.
_ASKED = re.compile(
    r"(?:failed to push |load metadata for |importing cache manifest from |exporting cache to )"
    r"([^\s:/]+(?::\d+)?/[^\s]+?|[^\s/]+?):?(?=\s|$)"
)


@dataclass(frozen=True)
class _Rule:
    """A class of errors, and the pattern of their messages."""

    error: type[ImagesError]
    words: str
    advice: str = ""
    transient: bool = False

    def matches(self, text: str) -> bool:
        """Return whether a text is an error of this class."""
        return re.search(self.words, text, re.IGNORECASE) is not None


# The first that fits wins: what a registry says about a push comes before the network's words
# that may stand in the same line.
_RULES = (
    _Rule(
        DiskError,
        r"no space left on device|disk quota exceeded",
        "free some, or: invoke cache.prune",
    ),
    _Rule(
        AuthError,
        r"\b401\b|\b403\b|unauthorized|authentication required|no basic auth|"
        r"access denied|insufficient_scope|denied: |forbidden",
        "check `docker login` and your rights there",
    ),
    # Before what is said of a file that COPY does not find, which has the same words around it.
    _Rule(RegistryError, r"could not fetch content descriptor|httpReadSeeker: .*not found$"),
    _Rule(
        DockerfileError,
        r"dockerfile parse error|failed to read dockerfile|target stage .* could not be found|"
        r"failed to parse stage name|unknown instruction|invalid reference format|"
        r"failed to (?:compute cache key|calculate checksum).*not found|base name .* should not be|"
        r"^lstat \S+: no such file or directory$",  # COPY --from
    ),
    # BuildKit in the builder's container answers, and ends: somebody removes or restarts it.
    _Rule(
        EngineError,
        r"failed to list workers.*\bEOF\W*$|No such container|"
        r"container \S+ is (?:not running|marked for removal)",
        transient=True,
    ),
    _Rule(
        EngineError,
        r"cannot connect to the docker daemon|docker daemon is not running|is the docker daemon|"
        r"permission denied while trying to connect|no builder .* found|failed to find driver|"
        r"not supported for the docker driver|does not currently support exporting manifest lists|"
        r"unknown flag|failed to list workers|error reading from server|"
        r"exec format error|to switch to context|context not found|error during connect",
    ),
    _Rule(RegistryError, r"unexpected status.*\b5\d\d\b|\b429\b|too many requests", transient=True),
    _Rule(NetworkError, r"no such host|x509: "),
    _Rule(
        NetworkError,
        r"connection refused|i/o timeout|connection reset|tls handshake|broken pipe|\bEOF$|"
        r"network is unreachable|context deadline exceeded|temporary failure in name resolution",
        transient=True,
    ),
    _Rule(RegistryError, r"failed to push|failed to resolve source metadata|: not found$"),
)
_NO_SOLUTION = re.compile(
    # What uv found stands above its advice, and BuildKit's display repeats only ten lines.
    r"no solution found when resolving|requirements are unsatisfiable|--prerelease=allow|"
    r"resolution-?impossible|conflicting dependencies",
    re.IGNORECASE,
)


def classify(completed: Completed, subject: str, steps: Sequence[Step] = ()) -> ImagesError:
    """Return the error of a failed buildx command.

    Args:
        completed: the command.
        subject: what the message begins with, such as the identity of a build.
        steps: the steps of a build whose events are known; else BuildKit's display is parsed.
    """
    reason = _reason(completed)
    if reason.endswith(CANCELED):
        # After our own ^C, process has raised Interrupted.
        return EngineError(f"{subject}: something else cancelled the build or stopped the engine")
    failed = [step for step in steps if step.error and step.kind is StepKind.STEP]
    failed = [step for step in failed if not step.error.endswith(CANCELED)]
    if failed and (match := _STEP.search(failed[-1].error)):
        return _step_error(subject, failed[-1].name, match[2], failed[-1].log)
    if match := _STEP.search(completed.stderr):
        blocks = [*_BLOCK.finditer(completed.stderr)]
        block = blocks[-1] if blocks else None
        name = block["step"] if block else f"RUN {match['command']}"
        log = [_TIMESTAMP.sub("", line) for line in block["log"].splitlines()] if block else []
        return _step_error(subject, name, match[2], log)
    if credentials := _CREDENTIALS.search(reason):
        asked = [f"{step.name}: {step.error}" for step in steps if _CREDENTIALS.search(step.error)]
        return _credentials_error(completed, subject, credentials["why"], asked)
    for rule in _RULES:
        if rule.matches(reason):
            advice = f" ({rule.advice})" if rule.advice else ""
            message = _BASE_IMAGE.sub(r"base image \g<image>: ", reason)
            message = _OTHER_CONTEXT.sub(_SELECT_CONTEXT, message)
            return rule.error(f"{subject}: {message}{advice}", transient=rule.transient)
    return CommandError(f"{subject}: {reason}")


def of_registry(completed: Completed, reference: str) -> ImagesError:
    """Return the error of a failed command that reads or tags an image of a registry.

    Only `REFERENCE: not found` means that the image does not exist: other errors end in the same
    words.
    """
    reason = _reason(completed)
    if _ABSENT.fullmatch(reason):
        return MissingImage(f"{reference}: not found")
    if "(text/html)" in reason:
        return RegistryError(f"{reference}: the answer is a web page (HTML), not a registry's")
    error = classify(completed, reference)
    return RegistryError(str(error)) if type(error) is CommandError else error


def _step_error(subject: str, name: str, code: str, log: Sequence[str]) -> ImagesError:
    step = f"step {shorten(step_names.short(name), 100)!r}"
    lines = [line.strip() for line in log if not _NOISE.search(line)]
    text = "\n".join(lines)
    if _NO_SOLUTION.search(text):
        why = shorten(re.sub(r"[^\x00-\x7f]", "", text), 600)  # without the lines that uv draws
        return DependencyError(f"{subject}: no versions fit together: {why} ({step})")
    message = f"{subject}: {step} failed with exit code {code}"
    if lines:
        message = f"{subject}: {shorten(lines[-1], 200)} ({step}, exit code {code})"
    if _RULES[0].matches(text):
        return DiskError(f"{message} ({_RULES[0].advice})")
    return StepError(message, transient=_UNREACHABLE.search(text) is not None)


def last_error(text: str) -> str:
    """Return the last error that buildx wrote, without its prefixes; empty if there is none."""
    lines = [line.strip() for line in text.splitlines()]
    errors = [line for line in lines if line.lower().startswith("error: ")]
    return _PREFIXES.sub("", errors[-1]) if errors else ""


def _reason(completed: Completed) -> str:
    lines = completed.stderr.split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return (
        last_error(completed.stderr)
        or _PREFIXES.sub("", last)
        or f"buildx ended with exit status {completed.returncode}"
    )


def _credentials_error(
    completed: Completed, subject: str, why: str, asked: Sequence[str]
) -> AuthError:
    """Return the error of a credential helper, with the registry that it was asked about."""
    images = _ASKED.findall("\n".join(asked) or completed.stderr)
    command = completed.command
    reference = images[-1] if images else command[-1] if "imagetools" in command else ""
    host, slash, _ = reference.partition("/")
    registry = host if slash and re.search(r"[.:]|^localhost$", host) else "docker.io"
    place = f" for {registry}" if reference else ""
    return AuthError(
        f"{subject}: no credentials{place}: {why} (credsStore and credHelpers in "
        f"{paths.docker_config() / 'config.json'} name the program)"
    )
