"""The errors of the suite, each with its exit code."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Sequence

from build_tasks.text import escaping, hints
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
    #: The class in one word: `engine`, `registry`, `network`.
    kind = "images"

    def __init_subclass__(cls, *, exit_code: int = 0, kind: str = "") -> None:
        if exit_code:
            cls.exit_code = exit_code
            cls.kind = kind or cls.__name__.removesuffix("Error").lower()

    def __init__(self, message: str = "", *, transient: bool = False) -> None:
        super().__init__(escaping.terminal(redact(message)))
        self.transient = transient


class UsageError(ImagesError, exit_code=2):
    """Report a wrong option, environment variable, settings file or constraints file."""


class EngineError(ImagesError, exit_code=3):
    """Report that there is no usable engine, or that it lacks what a build needs."""


class RegistryError(ImagesError, exit_code=4):
    """Report that a registry does not answer, lacks an image, or answers with an error."""


class MissingImage(RegistryError):
    """Report that a registry answers that it does not have an image."""


class AuthError(ImagesError, exit_code=5):
    """Report that a registry or a package index refuses the credentials, or requires some."""


class DiskError(ImagesError, exit_code=6):
    """Report a full disk, or a file or folder that cannot be used."""


class NetworkError(ImagesError, exit_code=7):
    """Report a connection that was cut, refused, or timed out."""


class DependencyError(ImagesError, exit_code=8):
    """Report that no set of package versions satisfies the requirements."""


class DockerfileError(ImagesError, exit_code=9):
    """Report a Dockerfile that BuildKit cannot parse or solve."""


class StepError(ImagesError, exit_code=10):
    """Report a step of the Dockerfile that failed."""


class VerificationError(ImagesError, exit_code=11):
    """Report an image that fails its verification."""


class StaleError(ImagesError, exit_code=13):
    """Report an image that is out of date."""


class CommandError(ImagesError, exit_code=1):
    """Report another program's failure that fits no other class."""


class RunError(ImagesError, exit_code=1, kind="run"):
    """Report a command in a container that failed; the exit code is the command's."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class SeveralErrors(ImagesError, exit_code=12):
    """Report several builds that failed; the exit code is theirs if they have the same."""

    def __init__(self, message: str, errors: Sequence[ImagesError] = ()) -> None:
        super().__init__(message)
        self.errors = tuple(errors)
        codes = {error.exit_code for error in errors}
        if len(codes) == 1:
            self.exit_code = codes.pop()


class CommandTimeout(ImagesError, exit_code=124, kind="timeout"):
    """Report a program that did not end in time; the exit code is GNU timeout's."""


class MissingProgram(ImagesError, exit_code=127, kind="program"):
    """Report a program that cannot be started; the exit code is the shell's."""


class Interrupted(KeyboardInterrupt):
    """End the run because of ^C, SIGTERM or SIGHUP.

    A KeyboardInterrupt, so that nox and invoke stop as they do for ^C. The exit code is the
    shell's: 128 plus the signal's number.
    """

    def __init__(self, signum: int = signal.SIGINT) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum
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
        return DiskError(f"{message} (free some, or: {hints.task('cache.prune')})")
    if isinstance(error, ConnectionError | TimeoutError) or error.errno in _UNREACHABLE:
        return NetworkError(message)
    return DiskError(message) if names else ImagesError(message)
