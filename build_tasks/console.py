"""Write to stdout and stderr: the only module that does.

Messages go to stderr and cannot fail: a full disk or a closed terminal must not end a build.
Answers go to stdout; an answer that cannot be written is an error. Text of other programs is made
safe on the way (`escaping`); BuildKit's own display alone passes as it is.
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

#: Keeps messages whole. Nothing is called while it is held but the write itself.
_lock = threading.Lock()
#: Takes messages in place of stderr, while something else draws there.
_taker: Callable[[str], None] | None = None


def message(text: str) -> None:
    """Write lines to stderr, without secrets and made safe for a terminal."""
    write(f"{escaping.terminal(redact(text))}\n")


def write(text: str) -> None:
    """Write text to stderr as it is: whoever calls has escaped what is foreign in it."""
    taker = _taker
    if taker:
        taker(text)
    else:
        _to_stderr(text)


def passed_on(chunk: bytes) -> None:
    """Write bytes to stderr as they are: a display that another program draws."""
    stream = sys.stderr
    if stream is None:
        return
    with _lock:
        try:
            stream.flush()
            stream.buffer.write(chunk)
            stream.buffer.flush()
        except BlockingIOError:
            return
        except (OSError, ValueError):
            _discard(stream)


def answer(text: str, end: str = "\n") -> None:
    """Write an answer to stdout, made safe for a terminal.

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


def prepare() -> None:
    """Let both streams write names that are no text in this locale as the bytes that they are."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            utf8 = stream.encoding.lower().replace("-", "") == "utf8"
            stream.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")


def flush() -> None:
    """Write what is left of an answer that another library has written.

    Raises:
        DiskError: it cannot be written.
    """
    if sys.stdout is not None:
        answer("", end="")


def stderr_is_terminal() -> bool:
    """Return whether messages go to a terminal."""
    return _is_terminal(sys.stderr)


def stdout_is_terminal() -> bool:
    """Return whether answers go to a terminal."""
    return _is_terminal(sys.stdout)


@contextlib.contextmanager
def taken(taker: Callable[[str], None]) -> Iterator[None]:
    """Hand messages to a function instead of stderr, which the block draws on."""
    global _taker  # noqa: PLW0603 - there is one stderr
    before, _taker = _taker, taker
    try:
        yield
    finally:
        _taker = before


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
    stream = sys.stderr
    if stream is None:
        return
    with _lock:
        try:
            stream.write(_encodable(text, stream))
            stream.flush()
        except BlockingIOError:  # a full pipe of whoever reads too slowly: this text is lost
            return
        except (OSError, ValueError):
            _discard(stream)


def _encodable(text: str, stream: TextIO) -> str:
    """Return text with escapes for what the stream cannot write."""
    encoding = stream.encoding or "utf-8"
    try:
        text.encode(encoding, stream.errors or "strict")
    except UnicodeError:
        return text.encode(encoding, "backslashreplace").decode(encoding)
    return text


def _discard(stream: TextIO) -> None:
    """Lead a stream nowhere: Python flushes it once more at its end, and would fail again."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it is closed
        return False
