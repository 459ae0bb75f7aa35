"""The Docker API over a socket in the file system, for what no command of docker says exactly."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path


def get(path: Path, question: str, *, timeout: float) -> tuple[int, object]:
    """Return the status and the JSON of an answer, None where it is no JSON.

    Args:
        path: the socket.
        question: what is asked for, with its leading slash.
        timeout: seconds for each part of the answer.

    Raises:
        OSError: nobody listens, or the answer does not come.
    """
    connection = _SocketConnection(path, timeout)
    try:
        connection.request("GET", question)
        answer = connection.getresponse()
        text = answer.read()
    except http.client.HTTPException as error:
        raise OSError(str(error)) from None
    finally:
        connection.close()
    try:
        return answer.status, json.loads(text)
    except (ValueError, RecursionError):
        return answer.status, None


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a socket in the file system, which http.client has no address for."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
