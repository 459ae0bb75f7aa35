"""Threads that are started whole: their import costs start-up time, and few commands need them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from build_tasks.process.signals import whole

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Threads(ThreadPoolExecutor):
    """Threads of which none is lost when a signal comes as it starts.

    It would run a program after all that others run has been ended, and Python would wait for it.
    """

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Have a function called in a thread."""
        with whole():
            return super().submit(fn, *args, **kwargs)
