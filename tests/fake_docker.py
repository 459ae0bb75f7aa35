"""A docker and a buildx that only write down what they are told, for the real nox and invoke."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

FAKE = """\
#!/bin/sh
# Writes its arguments down, does what the variables of the test say, and never reaches an engine.
printf '%s\\n' "$0 $*" >> "$FAKE_LOG"
case "$1" in
  version) echo "github.com/docker/buildx ${FAKE_BUILDX_VERSION:-v0.29.1} abc"; exit 0 ;;
  inspect) printf '%s\\n' "$FAKE_INSPECT"; exit 0 ;;
  create)
    # Where the real one keeps a builder; several nodes are one file, as the test gives it.
    mkdir -p "$BUILDX_CONFIG/instances"
    printf '%s' "$FAKE_STORED" > "$BUILDX_CONFIG/instances/$3"
    ;;
  rm) rm -f "$BUILDX_CONFIG"/instances/* ;;
  container) exit 1 ;;
  info) printf '%s' "$FAKE_INFO"; printf '%s' "$FAKE_INFO_ERROR" >&2; exit ${FAKE_INFO_EXIT:-0} ;;
esac
if [ -n "$FAKE_SLEEP" ]; then
  trap 'echo ended >> "$FAKE_LOG"; exit 130' TERM
  sleep "$FAKE_SLEEP" &
  wait $!
fi
[ -n "$FAKE_STDERR" ] && printf '%s\\n' "$FAKE_STDERR" >&2
while [ $# -gt 0 ]; do
  [ "$1" = --metadata-file ] && printf '%s' "$FAKE_METADATA" > "$2"
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
