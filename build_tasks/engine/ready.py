"""Wait until a daemon answers."""

from __future__ import annotations

from collections.abc import Callable


def wait(alive: Callable[[], bool], answers: Callable[[], bool], seconds: float) -> None:
    """Return when a daemon answers.

    Args:
        alive: whether it still runs.
        answers: whether it answers.
        seconds: how long to wait.

    Raises:
        TimeoutError: it ended, or did not answer in time.
    """
    import tenacity  # noqa: PLC0415 - start-up time

    def ask() -> str:
        if answers():
            return "answers"
        return "waits" if alive() else "ended"

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda seen: seen == "waits"),
        stop=tenacity.stop_after_delay(seconds),
        wait=tenacity.wait_fixed(0.1),
        retry_error_callback=lambda _: "late",
    )
    if retrying(ask) != "answers":
        raise TimeoutError
