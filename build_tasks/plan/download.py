"""Read text from a web address. Import it where that is done: urllib.request is slow to import."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from http.client import HTTPException, InvalidURL
from pathlib import Path

from build_tasks.errors import NetworkError, UsageError

#: Seconds to connect, and between two pieces of the answer.
_TIMEOUT = 60.0


def text(location: str, place: str, bundle: Path | None = None) -> str:
    """Return the text at a web address.

    Args:
        location: the address.
        place: where it was set, for errors.
        bundle: the CA bundle; None for that of this machine.

    Raises:
        UsageError: it is not a web address, has a password, or the server refuses it.
        NetworkError: the server is unreachable.
    """
    if "@" in location.partition("://")[2].partition("/")[0]:
        raise UsageError(f"{place}: a password in the address would be shown: use a file")
    if not location.startswith(("https://", "http://")):
        raise UsageError(f"{place}: {location!r} is neither a file nor a web address")
    try:
        context = ssl.create_default_context(cafile=bundle)
        with urllib.request.urlopen(  # noqa: S310 - checked
            location, timeout=_TIMEOUT, context=context
        ) as response:
            content: bytes = response.read()
    except urllib.error.HTTPError as error:
        raise UsageError(f"{place}: {location}: {error.code} {error.reason}") from None
    except (InvalidURL, ValueError):
        raise UsageError(f"{place}: {location!r} is no web address") from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise NetworkError(f"{place}: {location}: {reason}") from None
    return content.decode("utf-8-sig", errors="replace")
