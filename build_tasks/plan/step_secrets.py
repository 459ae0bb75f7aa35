"""The secrets and SSH agents that the settings give to RUN steps."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from build_tasks.config.settings import Settings
from build_tasks.errors import UsageError
from build_tasks.inputs.ca_bundle import LIMIT
from build_tasks.model.build import Secret
from build_tasks.text import redaction

#: The variable that has the socket of the user's SSH agent.
_AGENT = "SSH_AUTH_SOCK"


def secrets(settings: Settings) -> tuple[Secret, ...]:
    """Return the secrets with their files; whether they exist is for `check` to say."""
    return tuple(
        replace(secret, file=settings.path("build.secrets", str(secret.file)))
        if secret.file
        else secret
        for secret in settings.build_secrets
    )


def ssh(settings: Settings) -> tuple[str, ...]:
    """Return the agents and keys in buildx's syntax."""
    agents = []
    for agent in settings.build_ssh:
        name, separator, place = agent.partition("=")
        agents.append(f"{name}={settings.path('build.ssh', place)}" if separator else name)
    return tuple(agents)


def check(settings: Settings) -> None:
    """Raise UsageError if a secret or an agent is missing; hide the secrets in all output."""
    check_secrets(settings, secrets(settings))
    for agent in ssh(settings):
        name, _, file = agent.partition("=")
        place = f"{settings.origins['build.ssh']}: {name}"
        if not file and name != "default":
            raise UsageError(f"{place}: expected default, or ID=PATH of a socket or a key")
        if not (file or os.environ.get(_AGENT)):
            raise UsageError(f"{place}: no SSH agent runs: {_AGENT} is not set")
        if not Path(file or os.environ[_AGENT]).exists():
            raise UsageError(f"{place}: no such file: {file or os.environ[_AGENT]}")


def check_secrets(settings: Settings, used: Iterable[Secret]) -> None:
    """Raise UsageError if one of some secrets is missing; hide them in all output."""
    for secret in used:
        redaction.add_secret(_read(secret, settings.origins["build.secrets"]))


def _read(secret: Secret, place: str) -> str:
    """Return a secret; buildx would take a variable that is not set as an empty one."""
    if secret.file is None:
        subject = f"{place}: the variable {secret.variable} of {secret.id}"
        if secret.variable not in os.environ:
            raise UsageError(f"{subject} is not set")
        content = os.environb[os.fsencode(secret.variable)]
    else:
        subject = f"{place}: the file {secret.file} of {secret.id}"
        try:
            content = secret.file.read_bytes()
        except OSError as error:
            raise UsageError(f"{subject} cannot be read: {error.strerror}") from None
    if not content:
        raise UsageError(f"{subject} is empty")
    if len(content) > LIMIT:
        size = f"{len(content) // 1024} KiB, and BuildKit takes at most {LIMIT // 1024}"
        raise UsageError(f"{subject} has {size}")
    return content.decode(errors="surrogateescape")
