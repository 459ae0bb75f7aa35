"""The running children of this process, and their end."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from build_tasks.errors import Interrupted, MissingProgram
from build_tasks.process.commands import Command, Environment
from build_tasks.process.signals import deferred, in_main_thread
from build_tasks.process.watchdog import Watchdog

#: Seconds between SIGTERM and SIGKILL; BuildKit needs about one to cancel a build.
GRACE = 7.0

#: Errors of the system's limits, not of the program.
_LIMITS = frozenset((errno.E2BIG, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM))


_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Executor(ThreadPoolExecutor):
    """Defers signals while a thread starts: Python would lose the thread, and its child with it."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self._futures: list[Future[Any]] = []

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        with deferred():
            future = super().submit(fn, *args, **kwargs)
            self._futures.append(future)
        return future

    def wait(self) -> None:
        """Wait until nothing runs that was submitted.

        Python 3.11 takes a thread for ended once a signal has interrupted its join().
        """
        wait([future for future in self._futures if not future.cancelled()])


class Children:
    """Starts children, each in a session of its own, and leaves none of their groups behind."""

    def __init__(self) -> None:
        self.watchdog = Watchdog()
        #: Referenced, because Python warns of a child that is garbage-collected while it runs.
        self._detached: list[subprocess.Popen[bytes]] = []
        self._running: list[subprocess.Popen[bytes]] = []
        self._stopping = threading.Event()

    @contextlib.contextmanager
    def run(
        self,
        command: Command,
        environment: Environment | None,
        *,
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Yield a running child; on an exception, end its group.

        Raises:
            MissingProgram: the program cannot be started.
        """
        child = None
        variables = {**os.environ, **(environment or {}), **self.watchdog.mark}
        try:
            with deferred():
                self.watchdog.start()
                child = subprocess.Popen(
                    command,
                    env={name: value for name, value in variables.items() if value is not None},
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    start_new_session=True,
                )
                self._running.append(child)
                self.watchdog.started(child.pid)
            if self._stopping.is_set() and not in_main_thread():
                raise Interrupted
            yield child
            child.wait()
        except BaseException as error:
            if child is not None:
                _end(child)
            elif isinstance(error, OSError) and error.errno not in _LIMITS:
                raise _not_started(command, error) from None
            raise
        finally:
            if child is not None:
                self._running.remove(child)
                self.watchdog.ended(child.pid)
                for pipe in (child.stdin, child.stdout, child.stderr):
                    if pipe is not None:
                        # A child that was ended leaves input in our buffer.
                        with contextlib.suppress(BrokenPipeError):
                            pipe.close()

    def spawn(self, command: Command, *, environment: Mapping[str, str], log: Path) -> int:
        """Start a command that outlives this process, and return its process id.

        It inherits no variable. Its outputs replace the content of the log.

        Raises:
            MissingProgram: the program cannot be started.
        """
        log.unlink(missing_ok=True)
        with log.open("ab") as output:  # appending, so that others can truncate it
            try:
                child = subprocess.Popen(
                    command,
                    cwd="/",  # the current folder may be removed
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    umask=0o022,
                )
            except (FileNotFoundError, PermissionError) as error:
                raise _not_started(command, error) from None
        self._detached.append(child)
        return child.pid

    @contextlib.contextmanager
    def stoppable_threads(self) -> Iterator[Callable[[], None]]:
        """Yield a function that ends all children, and refuses new ones of other threads.

        After the block, threads may start children again.
        """
        try:
            yield self._stop_threads
        finally:
            self._stopping.clear()

    @contextlib.contextmanager
    def pool(self, workers: int) -> Iterator[ThreadPoolExecutor]:
        """Yield threads that may run programs, which ^C ends."""
        executor = _Executor(workers)
        with self.stoppable_threads() as stop:
            try:
                yield executor
                executor.shutdown()
            except KeyboardInterrupt:
                executor.shutdown(wait=False, cancel_futures=True)
                stop()
                executor.wait()
                raise
            finally:
                executor.shutdown()

    def _stop_threads(self) -> None:
        self._stopping.set()
        children = [*self._running]
        for child in children:
            _signal(child, signal.SIGTERM)
        until = time.monotonic() + GRACE
        try:
            while time.monotonic() < until and any(child.poll() is None for child in children):
                time.sleep(0.02)
        finally:
            for child in children:
                _signal(child, signal.SIGKILL)


#: The children of this process.
CHILDREN = Children()


def _not_started(command: Command, error: OSError) -> MissingProgram:
    reason = ", it is no program for this machine" if error.errno == errno.ENOEXEC else ""
    return MissingProgram(f"cannot start {command[0]}: {error.strerror}{reason}")


def _signal(child: subprocess.Popen[bytes], signum: signal.Signals) -> None:
    """Signal a child's group, which can outlive the child."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signum)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child's group with SIGTERM, then SIGKILL; a second signal to us skips the wait."""
    try:
        _signal(child, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE)
    finally:
        _signal(child, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):  # the kernel may never release it
            child.wait(GRACE)
