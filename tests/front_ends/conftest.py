"""Run the real nox and invoke, with a docker and a buildx that only write down what they are told."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

_FAKE = """\
#!/bin/sh
# Writes its arguments down, does what the variables of the test say, and never reaches an engine.
printf '%s\\n' "$0 $*" >> "$FAKE_LOG"
case "$1" in
  version) echo "github.com/docker/buildx ${FAKE_BUILDX_VERSION:-v0.29.1} abc"; exit 0 ;;
  info) printf '%s' "$FAKE_INFO"; printf '%s' "$FAKE_INFO_ERROR" >&2; exit ${FAKE_INFO_EXIT:-0} ;;
esac
[ -n "$FAKE_SLEEP" ] && { trap 'echo ended >> "$FAKE_LOG"; exit 130' TERM; sleep "$FAKE_SLEEP" & wait $!; }
[ -n "$FAKE_STDERR" ] && printf '%s\\n' "$FAKE_STDERR" >&2
while [ $# -gt 0 ]; do
  [ "$1" = --metadata-file ] && printf '%s' "${FAKE_METADATA:-{}}" > "$2"
  shift
done
exit ${FAKE_EXIT:-0}
"""


@dataclass(frozen=True)
class Bench:
    """A folder with a fake docker, and the environment in which only that one is found."""

    folder: Path
    environment: dict[str, str]

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        with self.start(*command, **environment) as process:
            out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def invoke(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run("invoke", *arguments, **environment)

    def nox(
        self, session: str, *options: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return self.run("nox", "-s", session, "--", *options, **environment)

    def told(self) -> list[list[str]]:
        log = self.folder / "log"
        return [shlex.split(line) for line in log.read_text().splitlines()] if log.exists() else []

    def builds(self) -> list[list[str]]:
        return [words for words in self.told() if words[1:2] == ["build"]]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "bin").mkdir()
    plugins = tmp_path / "docker-config" / "cli-plugins"
    plugins.mkdir(parents=True)
    for program in (tmp_path / "bin" / "docker", plugins / "docker-buildx"):
        program.write_text(_FAKE)
        program.chmod(0o755)
    info = {
        "ServerVersion": "28.5.2",
        "Architecture": "x86_64",
        "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
    }
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW_IMAGES_", "DOCKER_", "BUILDX_", "GITHUB_", "NOX", "CI_"))
    }
    environment |= {
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "AIRFLOW_IMAGES_CACHE": str(tmp_path / "cache"),
        "DOCKER_CONFIG": str(tmp_path / "docker-config"),
        "DOCKER_HOST": f"unix://{tmp_path}/no.sock",
        "FAKE_LOG": str(tmp_path / "log"),
        "FAKE_INFO": json.dumps(info),
        "NOX_SCRIPT_MODE": "none",
        "NO_COLOR": "1",
        "COLUMNS": "300",
    }
    return Bench(tmp_path, environment)
