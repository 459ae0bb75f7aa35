"""The life of a child: it starts in a session of its own, and its whole group ends with it."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from build_tasks.errors import Interrupted, MissingProgram
from build_tasks.process import watchdog
from build_tasks.process.commands import Command, Environment
from build_tasks.process.signals import whole

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

#: Seconds that a child has between SIGTERM and SIGKILL; BuildKit needs about one.
GRACE = 7.0

#: What the system says where the program is fine, and there is too much of something else.
_TOO_MUCH = frozenset((errno.E2BIG, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM))

#: Kept, because Python warns of a child that is forgotten while it runs.
_spawned: list[subprocess.Popen[bytes]] = []
#: What runs in threads other than the main one, and whether all of that has to end.
_elsewhere: list[subprocess.Popen[bytes]] = []
_over = threading.Event()


@contextlib.contextmanager
def child_of(
    command: Command,
    environment: Environment | None,
    *,
    stdin: int,
    stdout: int | None = None,
    stderr: int | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a running child, and leave no process of its group behind."""
    child = None
    try:
        with whole():
            watchdog.prepare()
            watched = {**(environment or {}), watchdog.VARIABLE: watchdog.MARK}
            child = _start(command, watched, stdin=stdin, stdout=stdout, stderr=stderr)
            watchdog.started(child.pid)
        with _listed(child):
            yield child
        child.wait()
    except BaseException:
        if child:
            _end(child)
        raise
    finally:
        if child:
            watchdog.ended(child.pid)
        for pipe in (child.stdin, child.stdout, child.stderr) if child else ():
            if pipe is not None:
                pipe.close()


def spawn(command: Command, *, environment: Mapping[str, str], log: Path) -> int:
    """Start a command that outlives this process, and return its process id.

    Args:
        command: the program and its arguments.
        environment: all of its variables; nothing of this process's own is handed on.
        log: the file that gets both outputs, from its beginning.

    Raises:
        MissingProgram: the program is not there.
    """
    log.unlink(missing_ok=True)
    with log.open("ab") as output:  # so that what others cut off stays cut off
        try:
            child = subprocess.Popen(
                command,
                cwd="/",  # the folder of whoever started it may go
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                umask=0o022,
            )
        except (FileNotFoundError, PermissionError) as error:
            raise MissingProgram(f"cannot start {command[0]}: {error.strerror}") from None
    _spawned.append(child)
    return child.pid


def end_others() -> None:
    """End what other threads run, and let them start nothing more."""
    _over.set()
    children = [*_elsewhere]
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
    until = time.monotonic() + GRACE
    try:
        while time.monotonic() < until and any(child.poll() is None for child in children):
            time.sleep(0.02)
    finally:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


@contextlib.contextmanager
def pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Yield threads that may run programs; ^C ends those, whether they are waited for or not.

    Args:
        workers: the most that run at once.
    """
    from build_tasks.process.threads import Threads  # noqa: PLC0415 - start-up time

    executor = Threads(workers)
    try:
        try:
            yield executor
            executor.shutdown()
        except KeyboardInterrupt:
            executor.shutdown(wait=False, cancel_futures=True)
            end_others()
            raise
        finally:
            executor.shutdown()
    finally:
        allow_others()  # not before all threads have ended


def allow_others() -> None:
    """Let other threads start programs again after they were ended."""
    _over.clear()


def _start(
    command: Command,
    environment: Environment | None,
    *,
    stdin: int,
    stdout: int | None = None,
    stderr: int | None = None,
) -> subprocess.Popen[bytes]:
    variables = {**os.environ, **(environment or {})}
    try:
        return subprocess.Popen(
            command,
            env={name: value for name, value in variables.items() if value is not None},
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    except OSError as error:
        if error.errno in _TOO_MUCH:
            raise
        why = ", it is no program for this machine" if error.errno == errno.ENOEXEC else ""
        raise MissingProgram(f"cannot start {command[0]}: {error.strerror}{why}") from None


@contextlib.contextmanager
def _listed(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Know of a child that another thread has started, so that the main one can end it."""
    if threading.current_thread() is threading.main_thread():
        yield
        return
    _elsewhere.append(child)
    try:
        if _over.is_set():
            raise Interrupted
        yield
    finally:
        _elsewhere.remove(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask the child's group to end, then make it; a second signal to us makes it at once."""
    try:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE)
    finally:
        # The group can outlive its leader: a docker CLI that is gone leaves its plugin behind.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):  # the kernel may hold it for ever
            child.wait(GRACE)
