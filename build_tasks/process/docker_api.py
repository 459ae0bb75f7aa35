"""Query the Docker API on a Unix socket: the state of a daemon, and sizes that docker rounds."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path


def get(path: Path, url: str, *, timeout: float) -> tuple[int, object]:
    """Return the status and the JSON of an answer, None where it is no JSON.

    `path` is the socket; the timeout is for each part of the answer, in seconds.

    Raises:
        OSError: nobody listens, or the answer does not come.
    """
    connection = http.client.HTTPConnection("localhost", timeout=timeout)
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.settimeout(timeout)
        connection.sock.connect(str(path))
        connection.request("GET", url)
        response = connection.getresponse()
        text = response.read()
    except http.client.HTTPException as error:
        raise OSError(str(error)) from None
    finally:
        connection.close()
    try:
        return response.status, json.loads(text)
    except (ValueError, RecursionError):
        return response.status, None
