"""Build with python-on-whales, as its own documentation does: one process, one call."""

from __future__ import annotations

import json
import sys

from python_on_whales import DockerClient

asked = json.loads(sys.argv[1])
DockerClient(client_call=[asked["docker"]]).buildx.build(**asked["build"])
