"""The errors of the suite, each with its exit code."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Sequence

from build_tasks.text import escaping
from build_tasks.text.redaction import redact

_DISK_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_UNREACHABLE = frozenset((errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH))


class ImagesError(Exception):
    """Say in one line what went wrong. The front ends print it, and exit with `exit_code`.

    Args:
        message: the line, which is redacted and escaped: it may quote users and other programs.
        transient: a retry may succeed.
    """

    exit_code = 1

    def __init__(self, message: str = "", *, transient: bool = False) -> None:
        super().__init__(escaping.terminal(redact(message)))
        self.transient = transient

    @property
    def kind(self) -> str:
        """Return the class in one word: `engine`, `registry`, `network`."""
        words = {"CommandTimeout": "timeout", "MissingProgram": "program"}
        names = (kind.__name__ for kind in type(self).__mro__)
        name = next(name for name in names if name in words or name.endswith("Error"))
        return words.get(name, name.removesuffix("Error").lower())


class UsageError(ImagesError):
    """Report a wrong option, environment variable, settings file or constraints file."""

    exit_code = 2


class EngineError(ImagesError):
    """Report that there is no usable engine, or that it lacks what a build needs."""

    exit_code = 3


class RegistryError(ImagesError):
    """Report that a registry does not answer, lacks an image, or answers with an error."""

    exit_code = 4


class MissingImage(RegistryError):
    """Report that a registry answers that it does not have an image."""


class AuthError(ImagesError):
    """Report that a registry refuses the credentials, or requires some."""

    exit_code = 5


class DiskError(ImagesError):
    """Report a full disk, or a file or folder that cannot be used."""

    exit_code = 6


class NetworkError(ImagesError):
    """Report a connection that was cut, refused, or timed out."""

    exit_code = 7


class DependencyError(ImagesError):
    """Report that no set of package versions satisfies the requirements."""

    exit_code = 8


class DockerfileError(ImagesError):
    """Report a Dockerfile that BuildKit cannot parse or solve."""

    exit_code = 9


class StepError(ImagesError):
    """Report a step of the Dockerfile that failed."""

    exit_code = 10


class VerificationError(ImagesError):
    """Report an image that fails its verification."""

    exit_code = 11


class StaleError(ImagesError):
    """Report an image that is out of date."""

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
    """Report a program that did not end in time; the exit code is GNU timeout's."""

    exit_code = 124


class MissingProgram(ImagesError):
    """Report a program that cannot be started; the exit code is the shell's."""

    exit_code = 127


class Interrupted(KeyboardInterrupt):
    """End the run because of ^C, SIGTERM or SIGHUP.

    A KeyboardInterrupt, so that nox and invoke stop as they do for ^C. The exit code is the
    shell's: 128 plus the signal's number.
    """

    def __init__(self, signum: int = signal.SIGINT) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum


def from_os_error(error: OSError) -> ImagesError:
    """Return the error for an exception of the operating system that no module expected."""
    names = [
        os.fsdecode(name) if isinstance(name, bytes) else str(name)  # or a descriptor's number
        for name in (error.filename, error.filename2)
        if name is not None
    ]
    reason = error.strerror or str(error) or type(error).__name__
    message = f"{' -> '.join(names)}: {reason}" if names else reason
    if error.errno in _DISK_FULL:
        return DiskError(f"{message} (free some, or: invoke cache.prune)")
    if isinstance(error, ConnectionError | TimeoutError) or error.errno in _UNREACHABLE:
        return NetworkError(message)
    return DiskError(message) if names else ImagesError(message)
