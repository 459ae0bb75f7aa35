"""A docker and a buildx that only write down what they are told, for the real nox and invoke."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: What a copy of the checkout does without; files of coverage come and go while it is made.
IGNORED = (".git", ".nox", ".venv", "*_cache", "__pycache__", ".coverage*", "tests")

_RUN = re.compile(r"(/metadata/[\w.-]+?)-\d{8}-\d{6}-[0-9a-f]{8}\.json$")

FAKE = """\
#!/bin/sh
# Writes its arguments down, does what the variables of the test say, and never reaches an engine.
[ -z "$FAKE_SLEEP" ] || trap 'echo ended >> "$FAKE_LOG"; exit 130' TERM # before a test sees it
printf '%s\\n' "$0 $*" >> "$FAKE_LOG"
[ -z "$FAKE_PRINTS" ] || [ "$1" != build ] || printenv "$FAKE_PRINTS" > "$FAKE_LOG.printed"
case "$1" in
  version) echo "github.com/docker/buildx ${FAKE_BUILDX_VERSION:-v0.29.1} abc"; exit 0 ;;
  ls) printf '%s\\n' "$FAKE_LS"; exit 0 ;;
  inspect) exit 0 ;;
  image) # of the engine's own, or of a registry's until it is pulled
    if [ -z "$FAKE_IMAGE" ] || { [ -n "$FAKE_MANIFEST" ] && [ ! -e "$FAKE_LOG.pulled" ]; }; then
      printf '%s\n' "${FAKE_IMAGE_ERROR:-Error: No such image: $3}" >&2
      exit 1
    fi
    printf '%s' "$FAKE_IMAGE"; exit 0 ;;
  imagetools)
    for word; do :; done
    file=$FAKE_REGISTRY/$(printf '%s' "$word" | tr '/:@' '___')
    [ "$2" = create ] && exit 0
    case "$*" in
      *" --format {{json .Image}} "*) # a cache to read: there, unless a test says no
        [ -n "$FAKE_SILENT" ] && exec sleep "$FAKE_SILENT"
        [ -z "$FAKE_NO_CACHE" ] && echo null && exit 0 ;;
    esac
    [ -n "$FAKE_MANIFEST" ] && printf '%s' "$FAKE_MANIFEST" && exit 0
    [ -e "$file" ] || file=${file%_sha256_*} # what a tag has can be had by its digest
    [ -e "$file" ] && cat "$file" && exit 0
    echo "ERROR: $word: not found" >&2; exit 1 ;;
  ps) exit 0 ;;
  pull) touch "$FAKE_LOG.pulled" ;;
  save) [ -z "$FAKE_SAVED" ] || cat "$FAKE_SAVED" ;;
  load) cat > "$FAKE_LOG.loading"; mv "$FAKE_LOG.loading" "$FAKE_LOG.loaded" ;; # if not ended
  create)
    # Where the real one keeps a builder; several nodes are one file, as the test gives it.
    mkdir -p "$BUILDX_CONFIG/instances"
    printf '%s' "$FAKE_STORED" > "$BUILDX_CONFIG/instances/$3"
    ;;
  rm) rm -f "$BUILDX_CONFIG"/instances/* ;;
  container) exit 1 ;;
  info) printf '%s' "$FAKE_INFO"; printf '%s' "$FAKE_INFO_ERROR" >&2; exit ${FAKE_INFO_EXIT:-0} ;;
esac
if [ -n "$FAKE_FAILS" ]; then # only what this word is in
  case "$*" in
    *"$FAKE_FAILS"*)
      n=0 # not before another one sleeps, where they do
      while [ -n "$FAKE_SLEEP" ] && [ ! -e "$FAKE_LOG.asleep" ] && [ $n -lt 100 ]; do
        n=$((n + 1)); sleep 0.1
      done
      FAKE_SLEEP= ;;
    *) FAKE_EXIT=0; FAKE_STDERR= ;;
  esac
fi
if [ -n "$FAKE_TIMES" ] && [ "${FAKE_EXIT:-0}" != 0 ]; then # only so many times
  echo x >> "$FAKE_LOG.times"
  [ "$(wc -l < "$FAKE_LOG.times")" -gt "$FAKE_TIMES" ] && FAKE_EXIT=0 && FAKE_STDERR=
fi
if [ -n "$FAKE_SLEEP" ]; then
  touch "$FAKE_LOG.asleep"
  sleep "$FAKE_SLEEP" &
  wait $!
fi
[ -n "$FAKE_STDOUT" ] && printf '%s\\n' "$FAKE_STDOUT"
[ -n "$FAKE_STDERR" ] && printf '%s\\n' "$FAKE_STDERR" >&2
while [ $# -gt 0 ]; do
  [ "$1" = --metadata-file ] && printf '%s' "$FAKE_METADATA" > "$2"
  case "$1" in # files of an image are its packages
    BASE_IMAGE=*) base=$(printf '%s' "${1#*=}" | tr '/:@' '___') ;;
    type=local,dest=*) cp "$FAKE_REGISTRY/$base.status" "${1#*dest=}/status" ;;
  esac
  shift
done
exit ${FAKE_EXIT:-0}
"""


@dataclass(frozen=True)
class Bench:
    """A folder with a fake docker, and the environment in which only that one is found."""

    folder: Path
    environment: dict[str, str]
    root: Path = ROOT

    def copy(self, folder: Path) -> Bench:
        """Return the same bench at a copy of the checkout, to be changed."""
        ignored = shutil.ignore_patterns(*IGNORED)
        shutil.copytree(self.root, folder, ignore=ignored)
        return replace(self, root=folder)

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        return self.start_program(sys.executable, "-m", *command, **environment)

    def start_program(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=self.root,
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

    def run_program(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        with self.start_program(*command, **environment) as process:
            out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def invoke(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run("invoke", *arguments, **environment)

    def nox(
        self, session: str, *options: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return self.run("nox", "-s", session, "--", *options, **environment)

    def both(
        self, session: str, task: Sequence[str], *options: str, **environment: str
    ) -> tuple[subprocess.CompletedProcess[str], subprocess.CompletedProcess[str]]:
        """Run a session and the task that does the same, with the same options."""
        by_nox = self.nox(session, *options, **environment)
        return by_nox, self.invoke(*task, *options, **environment)

    def told(self) -> list[list[str]]:
        log = self.folder / "log"
        return [shlex.split(line) for line in log.read_text().splitlines()] if log.exists() else []

    def sent(self, folder: Path) -> Path:
        """Return the only snapshot of a folder that was sent."""
        name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
        (snapshot,) = (self.folder / "cache" / "contexts" / name).glob(f"*/{folder.name}")
        return snapshot

    def builds(self) -> list[list[str]]:
        """Return the builds; their metadata files without the run's name, which is random."""
        builds = [words for words in self.told() if words[1:2] == ["build"]]
        return [[_RUN.sub(r"\1.json", word) for word in words] for words in builds]


def listing(name: str, *platforms: str, node: str = "", **facts: object) -> str:
    """Return the line that `buildx ls --format json` prints for a builder with one node."""
    entry = {"Name": node or name, "Endpoint": name, "Status": "running", "Platforms": platforms}
    return json.dumps({"Name": name, "Nodes": [{**entry, **facts}]})


def last(text: str) -> str:
    return text.strip().splitlines()[-1]


def lines(text: str) -> list[str]:
    """Return what was said, without commands, what is built, and nox's own lines on sessions."""
    nox = ("nox > Running session", "nox > Session", "nox > *")
    return [
        line
        for line in text.strip().splitlines()
        if not line.startswith(("+ ", *nox)) or "aborted" in line
        if not re.search(r": building .+ \(log: ", line)
    ]


def echoed(text: str) -> list[str]:
    """Return the words of the last command that was shown."""
    return shlex.split([line for line in text.splitlines() if line.startswith("+ ")][-1])[1:]
