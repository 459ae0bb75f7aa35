"""Write to stdout and stderr: the only module that does.

Messages go to stderr and never fail: a full disk or a closed terminal must not end a build.
Answers go to stdout, and fail if they cannot be written. Both are escaped for terminals.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TextIO

from build_tasks.errors import DiskError
from build_tasks.text import escaping
from build_tasks.text.redaction import redact

#: Keeps messages of several threads whole.
_lock = threading.Lock()
#: Takes messages while a display draws on stderr.
_redirection: Callable[[str], None] | None = None


def message(text: str) -> None:
    """Write lines to stderr, redacted and escaped."""
    write(f"{escaping.terminal(redact(text))}\n")


def write(text: str) -> None:
    """Write text to stderr as it is; the caller has escaped it."""
    if redirection := _redirection:
        redirection(text)
    else:
        _to_stderr(text)


def write_bytes(chunk: bytes) -> None:
    """Write bytes to stderr as they are: another program's display."""
    if stream := sys.stderr:
        with _tolerant(stream):
            stream.flush()
            stream.buffer.write(chunk)
            stream.buffer.flush()


def answer(text: str, end: str = "\n") -> None:
    """Write an answer to stdout, escaped.

    Raises:
        DiskError: it cannot be written.
    """
    stream = sys.stdout
    if stream is None:
        raise DiskError("stdout cannot be written: it is closed")
    try:
        stream.write(_encodable(f"{escaping.terminal(text)}{end}", stream))
        stream.flush()
    except BrokenPipeError:  # the reader has enough
        _discard(stream)
    except (OSError, ValueError) as error:
        _discard(stream)
        reason = (isinstance(error, OSError) and error.strerror) or "it is closed"
        raise DiskError(f"stdout cannot be written: {reason}") from None


def flush() -> None:
    """Write what another library has left in stdout's buffer; raise DiskError if that fails."""
    if sys.stdout is not None:
        answer("", end="")


def configure_encoding() -> None:
    """Let both streams write names that are no text in this locale as the bytes they are."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            utf8 = stream.encoding.lower().replace("-", "") == "utf8"
            stream.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")


def stderr_is_terminal() -> bool:
    """Return whether messages go to a terminal."""
    return _is_terminal(sys.stderr)


def stdout_is_terminal() -> bool:
    """Return whether answers go to a terminal."""
    return _is_terminal(sys.stdout)


@contextlib.contextmanager
def redirected(function: Callable[[str], None]) -> Iterator[None]:
    """Call a function with messages instead of writing them to stderr."""
    global _redirection  # noqa: PLW0603 - there is one stderr
    before, _redirection = _redirection, function
    try:
        yield
    finally:
        _redirection = before


class Stderr(io.TextIOBase):
    """Stderr as a file for a library that draws on it; writing never fails."""

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return stderr_is_terminal()

    def fileno(self) -> int:
        """Return the file descriptor, which has the terminal's size."""
        return 2

    def write(self, text: str) -> int:
        """Write text as it is."""
        _to_stderr(text)
        return len(text)


def _to_stderr(text: str) -> None:
    if stream := sys.stderr:
        with _tolerant(stream):
            stream.write(_encodable(text, stream))
            stream.flush()


@contextlib.contextmanager
def _tolerant(stream: TextIO) -> Iterator[None]:
    """Lock stderr, and discard what cannot be written."""
    with _lock:
        try:
            yield
        except BlockingIOError:  # a full pipe of a slow reader: only this text is lost
            return
        except (OSError, ValueError):
            _discard(stream)


def _encodable(text: str, stream: TextIO) -> str:
    """Return text with escapes for what the stream cannot encode."""
    encoding = stream.encoding or "utf-8"
    try:
        text.encode(encoding, stream.errors or "strict")
    except UnicodeError:
        return text.encode(encoding, "backslashreplace").decode(encoding)
    return text


def _discard(stream: TextIO) -> None:
    """Redirect a stream to /dev/null: Python flushes it again at exit, and would fail again."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it is closed
        return False
