"""The short list of errors, each with the exit code that the front ends end with."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Sequence

from build_tasks.text import escaping
from build_tasks.text.redaction import redact

#: What the operating system says of a disk that is full.
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
#: What it says of a connection.
_UNREACHABLE = frozenset((errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH))


class ImagesError(Exception):
    """Say in one line what went wrong; the front ends print it and end with `exit_code`.

    Secrets in the message are hidden: it may quote what a user or another program wrote.

    Args:
        message: the line.
        transient: the reason is one that passes: the same again may end well.
    """

    exit_code = 1

    def __init__(self, message: str = "", *, transient: bool = False) -> None:
        # Other programs' words stand in it, and the front ends print it.
        super().__init__(escaping.terminal(redact(message)))
        self.transient = transient

    @property
    def kind(self) -> str:
        """Return the class in one word: `engine`, `registry`, `network`."""
        name = type(self).__name__
        words = {"CommandTimeout": "timeout", "MissingProgram": "program"}
        return words.get(name, name.removesuffix("Error").lower())


class UsageError(ImagesError):
    """Report a wrong option, environment variable, settings file or constraints file."""

    exit_code = 2


class EngineError(ImagesError):
    """Report that no engine can be used, or that it lacks what the build needs."""

    exit_code = 3


class RegistryError(ImagesError):
    """Report that a registry does not answer, does not have an image, or answers with a fault."""

    exit_code = 4


class MissingImage(RegistryError):
    """Report that a registry answers, and does not have an image."""


class AuthError(ImagesError):
    """Report that a registry refuses the credentials, or their absence."""

    exit_code = 5


class DiskError(ImagesError):
    """Report a file or a folder that cannot be used: the disk is full, or the system refuses it."""

    exit_code = 6


class NetworkError(ImagesError):
    """Report a connection that was cut, refused, or timed out."""

    exit_code = 7


class DependencyError(ImagesError):
    """Report that no set of package versions satisfies what was asked for."""

    exit_code = 8


class DockerfileError(ImagesError):
    """Report a Dockerfile that BuildKit cannot read or follow."""

    exit_code = 9


class StepError(ImagesError):
    """Report a step of the Dockerfile that ran and failed."""

    exit_code = 10


class VerificationError(ImagesError):
    """Report an image that does not hold what it says."""

    exit_code = 11


class StaleError(ImagesError):
    """Report an image that is not what a build would make now."""

    exit_code = 13


class CommandError(ImagesError):
    """Report another program's failure that fits no other class."""


class SeveralErrors(ImagesError):
    """Report several builds that failed; the exit code is theirs if they have the same."""

    exit_code = 12

    def __init__(self, message: str, errors: Sequence[ImagesError] = ()) -> None:
        super().__init__(message)
        self.errors = tuple(errors)
        codes = {error.exit_code for error in errors}
        if len(codes) == 1:
            self.exit_code = codes.pop()


class CommandTimeout(ImagesError):
    """Report another program that did not end in time (the exit code is GNU timeout's)."""

    exit_code = 124


class MissingProgram(ImagesError):
    """Report a program that is not there or cannot be run (the exit code is the shell's)."""

    exit_code = 127


class Interrupted(KeyboardInterrupt):
    """End the run because of ^C, SIGTERM or SIGHUP, after everything started has ended.

    A KeyboardInterrupt, so that nox and invoke stop as they do for ^C. The exit code is the
    shell's: 128 and the signal's number.
    """

    def __init__(self, signum: int = signal.SIGINT) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum


def of_system(error: OSError) -> ImagesError:
    """Return the error that says what the operating system refused, and where.

    Args:
        error: what was raised; no module has foreseen it.
    """
    names = (error.filename, error.filename2)
    places = [_text(name) for name in names if name is not None]
    reason = error.strerror or str(error) or type(error).__name__
    message = ": ".join([*([" -> ".join(places)] if places else []), reason])
    if error.errno in _FULL:
        return DiskError(f"{message} (free some, or: invoke cache.prune)")
    if isinstance(error, ConnectionError | TimeoutError) or error.errno in _UNREACHABLE:
        return NetworkError(message)
    return DiskError(message) if places else ImagesError(message)


def _text(name: object) -> str:
    """Return the name of a file, or the number of a descriptor, as text."""
    return os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else str(name)
