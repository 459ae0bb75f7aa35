"""Say in which way a command of buildx failed, from what it wrote last.

The wording is BuildKit's and buildx's own (versions 0.13 to 0.29 of buildx were read and run);
what fits no rule is still told in their words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from build_tasks import plugin
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
from build_tasks.process import Completed

#: Lines of a failed step's log that the one-line message quotes the last of.
_NOISE = re.compile(r"^\s*$|^[-=]+$|Sleeping|^\+ ")
_PREFIXES = re.compile(
    r"^(?:ERROR: |error: |failed to (?:build|solve): |rpc error: code = \w+ desc = |target \S+: )+"
)
_STEP = re.compile(r'process "(?P<command>.*)" did not complete successfully: exit code: (\d+)')
_BLOCK = re.compile(r"^ > (?P<step>.+):\n(?P<log>(?:(?!------$).*\n)*)------$", re.MULTILINE)
#: What apt, pip, uv, git and curl say of a server that they do not reach.
_UNREACHABLE = re.compile(
    r"(?:could not|unable to|failed to) connect to|could not resolve host|"
    r"temporary failure (?:in name )?resol|"
    r"connection (?:timed out|reset|failed|refused)|error sending request|operation timed out|"
    r"read timed out|max retries exceeded|network is unreachable|"
    r"\b50[0234] (?:server error|bad gateway|service unavailable|gateway time)",
    re.IGNORECASE,
)
_OTHER_CONTEXT = re.compile(r"use `docker --context=(\S+) buildx` to switch to context .*")
_CREDENTIALS = re.compile(r"error getting credentials - err: (?P<why>.*?)(?:, out: `.*`)?$")
#: The image that BuildKit asked a registry about.
_ASKED = re.compile(
    r"(?:failed to push |load metadata for |importing cache manifest from |exporting cache to )"
    r"([^\s:/]+(?::\d+)?/[^\s]+?|[^\s/]+?):?(?=\s|$)"
)
_TIMED = re.compile(r"^\d+\.\d+ ")


@dataclass(frozen=True)
class _Rule:
    """A failure's class, and the words it is known by."""

    error: type[ImagesError]
    words: re.Pattern[str]
    advice: str = ""
    transient: bool = False


_ABSENT = re.compile(r"\S+: not found")


def _rule(
    error: type[ImagesError], words: str, advice: str = "", *, transient: bool = False
) -> _Rule:
    return _Rule(error, re.compile(words, re.IGNORECASE), advice, transient)


# The first that fits wins: what a registry says about a push comes before the network's words
# that may stand in the same line.
_RULES = (
    _rule(
        DiskError,
        r"no space left on device|disk quota exceeded",
        "free some, or: invoke cache.prune",
    ),
    _rule(
        AuthError,
        r"\b401\b|\b403\b|unauthorized|authentication required|no basic auth|"
        r"access denied|insufficient_scope|denied: |forbidden",
        "check `docker login` and your rights there",
    ),
    # Before what is said of a file that COPY does not find, which has the same words around it.
    _rule(RegistryError, r"could not fetch content descriptor|httpReadSeeker: .*not found$"),
    _rule(
        DockerfileError,
        r"dockerfile parse error|failed to read dockerfile|target stage .* could not be found|"
        r"failed to parse stage name|unknown instruction|invalid reference format|"
        r"failed to (?:compute cache key|calculate checksum).*not found|base name .* should not be|"
        r"^lstat \S+: no such file or directory$",  # COPY --from
    ),
    # BuildKit in the builder's container answers, and ends: somebody removes or restarts it.
    _rule(
        EngineError,
        r"failed to list workers.*\bEOF\W*$|No such container|"
        r"container \S+ is (?:not running|marked for removal)",
        transient=True,
    ),
    _rule(
        EngineError,
        r"cannot connect to the docker daemon|docker daemon is not running|is the docker daemon|"
        r"permission denied while trying to connect|no builder .* found|failed to find driver|"
        r"not supported for the docker driver|does not currently support exporting manifest lists|"
        r"unknown flag|failed to list workers|error reading from server|"
        r"exec format error|to switch to context|context not found|error during connect",
    ),
    _rule(
        RegistryError,
        r"unexpected status.*\b5\d\d\b|\b429\b|too many requests",
        transient=True,
    ),
    _rule(NetworkError, r"no such host|x509: "),
    _rule(
        NetworkError,
        r"connection refused|i/o timeout|connection reset|tls handshake|broken pipe|\bEOF$|"
        r"network is unreachable|context deadline exceeded|temporary failure in name resolution",
        transient=True,
    ),
    _rule(RegistryError, r"failed to push|failed to resolve source metadata|: not found$"),
)
_NO_SOLUTION = re.compile(
    # BuildKit repeats the last ten lines of a log: what uv found comes long before what it advises.
    r"no solution found when resolving|requirements are unsatisfiable|--prerelease=allow|"
    r"resolution-?impossible|conflicting dependencies",
    re.IGNORECASE,
)


def of_registry(ended: Completed, reference: str) -> ImagesError:
    """Return the error that says why a registry could not be asked for an image.

    Only `REFERENCE: not found` says that it is not there: other faults end with the same words.

    Args:
        ended: `buildx imagetools inspect`, which failed.
        reference: the image.
    """
    reason = _reason(ended)
    if _ABSENT.fullmatch(reason):
        return MissingImage(f"{reference}: not found")
    if "(text/html)" in reason:
        return RegistryError(f"{reference}: the answer is a web page (HTML), not a registry's")
    error = classify(ended, reference)
    return RegistryError(str(error)) if type(error) is CommandError else error


def classify(ended: Completed, subject: str) -> ImagesError:
    """Return the error that says what a failed command of buildx ran into.

    Args:
        ended: the command, with the last of what it wrote in `stderr`.
        subject: what was being made, to begin the message with: a build's identity.
    """
    reason = _reason(ended)
    step = _STEP.search(ended.stderr)
    if reason.endswith("context canceled"):
        # Our own ^C never gets here: process has raised Interrupted by then.
        return EngineError(f"{subject}: somebody else cancelled the build, or stopped the engine")
    if step:
        return _failed_step(ended.stderr, step, subject)
    if credentials := _CREDENTIALS.search(reason):
        return _without_credentials(ended, subject, credentials["why"])
    for rule in _RULES:
        if rule.words.search(reason):
            advice = f" ({rule.advice})" if rule.advice else ""
            message = f"{subject}: {_context(_base_image(reason))}{advice}"
            return rule.error(message, transient=rule.transient)
    return CommandError(f"{subject}: {reason}")


def _failed_step(output: str, found: re.Match[str], subject: str) -> ImagesError:
    block = None
    for block in _BLOCK.finditer(output):  # noqa: B007 - the last one is wanted
        pass
    name = block["step"] if block else f"RUN {found['command']}"
    lines = [_TIMED.sub("", line) for line in block["log"].splitlines()] if block else []
    lines = [line.strip() for line in lines if not _NOISE.search(line)]
    log = "\n".join(lines)
    last = f": {lines[-1]}" if lines else ""
    message = f"{subject}: step {_short(name)} failed with exit code {found[2]}{_short(last)}"
    if _RULES[0].words.search(log):
        return DiskError(f"{message} ({_RULES[0].advice})")
    if _NO_SOLUTION.search(log):
        why = " ".join(re.sub(r"[^\x00-\x7f]", "", log).split())  # no drawn lines
        return DependencyError(
            f"{subject}: no versions fit together in step {_short(name)}: {_short(why, 600)}"
        )
    return StepError(message, transient=_UNREACHABLE.search(log) is not None)


def _reason(ended: Completed) -> str:
    lines = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error: ")]
    if not (errors or lines):
        return f"buildx ended with exit status {ended.returncode}"
    return _PREFIXES.sub("", errors[-1] if errors else lines[-1])


def _base_image(reason: str) -> str:
    """Shorten BuildKit's threefold naming of an image that it could not resolve."""
    found = re.fullmatch(
        r"(?:\S+: )?failed to resolve source metadata for (?P<image>\S+): (?P<why>.*)", reason
    )
    if not found:
        return reason
    why = found["why"].removeprefix(f"{found['image']}: ")
    return f"base image {found['image']}: {why}"


def _without_credentials(ended: Completed, subject: str, why: str) -> AuthError:
    """Return the error of a credential helper, with the registry that it was asked about."""
    asked = _ASKED.findall(ended.stderr)
    reference = asked[-1] if asked else ended.command[-1] if "imagetools" in ended.command else ""
    host, slash, _ = reference.partition("/")
    registry = host if slash and re.search(r"[.:]|^localhost$", host) else "docker.io"
    place = f" for {registry}" if reference else ""
    return AuthError(
        f"{subject}: no credentials{place}: {why} (credsStore and credHelpers in "
        f"{plugin.docker_config() / 'config.json'} name the program)"
    )


def _context(reason: str) -> str:
    """Name the variable that selects a docker context; buildx names an option of docker."""
    return _OTHER_CONTEXT.sub(
        r"it is the engine of another docker context: select it with DOCKER_CONTEXT=\1", reason
    )


def _short(text: str, length: int = 200) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
