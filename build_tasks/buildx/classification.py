"""Classify the failure of a buildx command by its last error message.

The patterns in errors.toml match the messages of BuildKit and buildx 0.13 to 0.29. An error that
matches none is reported in its own words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from build_tasks import errors, paths
from build_tasks.constraints.resolver import absence, one_line
from build_tasks.errors import (
    AuthError,
    CommandError,
    DependencyError,
    DiskError,
    EngineError,
    ImagesError,
    MissingImage,
    RegistryError,
    StepError,
)
from build_tasks.history import vertex_names
from build_tasks.history.record import Step, StepKind
from build_tasks.history.vertex import CANCELED
from build_tasks.process import Completed
from build_tasks.text import hints
from build_tasks.text.formatting import shorten

_MESSAGES = Path(__file__).with_name("errors.toml")
#: The line of a step's log that says why it failed, where that is not the last one: apt's first
#: error (the last one says what else it did not do), and uv's before the hashes that it lists.
_REASON = re.compile(r"^E: .*|Hash mismatch for .*", re.MULTILINE)
#: What uv says of an index that it may not read, below the sentence that nothing fits together. It
#: wraps its lines.
_INDEX = re.compile(
    r"An\s+index(?:\s+URL)?\s+\((?P<url>[^)\s]+)\)[\s\S]{0,200}?"
    r"\b(?P<status>401\s+Unauthorized|403\s+Forbidden)"
)
#: Lines of a step's log that say nothing of its error.
_NOISE = re.compile(r"^\s*$|^[-=]+$|Sleeping|^\+ |^E: Can not write log")
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
#: The variable that selects a docker context, instead of an option of docker.
_OTHER_CONTEXT = re.compile(r"use `docker --context=(\S+) buildx` to switch to context .*")
_SELECT_CONTEXT = r"it is the engine of another docker context: select it with DOCKER_CONTEXT=\1"
_CREDENTIALS = re.compile(r"error getting credentials - err: (?P<why>.*?)(?:, out: `.*`)?$")
#: The image that BuildKit asked a registry about.
_ASKED = re.compile(
    r"(?:failed to push |load metadata for |importing cache manifest from |exporting cache to )"
    r"([^\s:/]+(?::\d+)?/[^\s]+?|[^\s/]+?):?(?=\s|$)"
)


@cache
def _messages() -> dict[str, Any]:
    """Return the content of errors.toml."""
    return paths.read_data(_MESSAGES)


def _fits(messages: Sequence[str], text: str) -> bool:
    """Return whether a text has one of the messages."""
    return re.search("|".join(messages), text, re.IGNORECASE) is not None


def _advice(rule: Mapping[str, Any]) -> str:
    """Return the advice of a rule, in which {prune} is the command that frees space."""
    return str(rule["advice"]).replace("{prune}", hints.task("cache.prune"))


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
    for rule in _messages()["rules"]:
        if _fits(rule["messages"], reason):
            error: type[ImagesError] = getattr(errors, rule["error"])
            message = _BASE_IMAGE.sub(r"base image \g<image>: ", reason)
            message = _OTHER_CONTEXT.sub(_SELECT_CONTEXT, message)
            advice = f" ({_advice(rule)})" if "advice" in rule else ""
            return error(f"{subject}: {message}{advice}", transient=rule.get("transient", False))
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
    step = f"step {shorten(vertex_names.parse(name).short, 100)!r}"
    lines = [line.strip() for line in log if not _NOISE.search(line)]
    text = "\n".join(lines)
    if index := _INDEX.search(text):
        return AuthError(
            f"{subject}: the index {index['url']} refuses the credentials, or requires some "
            f"({index['status'][:3]}; {step})"
        )
    messages = _messages()["steps"]
    if _fits(messages["no-solution"], text):
        why = absence(text) or f"no versions fit together: {one_line(text)}"
        return DependencyError(f"{subject}: {shorten(why, 600)} ({step})")
    message = f"{subject}: {step} failed with exit code {code}"
    if lines:
        reason = _REASON.search(text)
        line = reason[0] if reason else lines[-1]
        message = f"{subject}: {shorten(line, 200)} ({step}, exit code {code})"
    disk = _messages()["rules"][0]
    if _fits(disk["messages"], text):
        return DiskError(f"{message} ({_advice(disk)})")
    return StepError(message, transient=_fits(messages["unreachable"], text))


def last_error(text: str) -> str:
    """Return the last error that buildx wrote, without its prefixes; empty if there is none."""
    lines = [line.strip() for line in text.splitlines()]
    errors = [line for line in lines if line.lower().startswith("error: ")]
    return _PREFIXES.sub("", errors[-1]) if errors else ""


def registry_host(reference: str) -> str:
    """Return host and port of an image's registry; empty for Docker Hub, which references omit."""
    host, slash, _ = reference.partition("/")
    return host if slash and re.search(r"[.:]|^localhost$", host) else ""


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
    place = f" for {registry_host(reference) or 'docker.io'}" if reference else ""
    return AuthError(
        f"{subject}: no credentials{place}: {why} (credsStore and credHelpers in "
        f"{paths.docker_config() / 'config.json'} name the program)"
    )
