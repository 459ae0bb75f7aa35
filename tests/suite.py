"""The suite as a person uses it, on an engine of the tests' own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from build_tasks.config.settings import UV_VARIABLES
from build_tasks.plan import trust

ROOT = Path(__file__).resolve().parents[1]
#: Seconds after which a front end is taken for hung.
PATIENCE = 1500
#: What a copy of the checkout does without; coverage's files come and go while it is made.
IGNORED = (".git", ".nox", ".venv", "*_cache", "__pycache__", "tests", ".coverage*")
_STEP = re.compile(r"\[(?:linux/\w+ )?(?P<stage>[a-z][\w-]*) +\d+/\d+\] (?P<step>.*)", re.DOTALL)


@dataclass(frozen=True)
class Step:
    """A step of a Dockerfile as BuildKit's events tell it: its name, and whether it ran."""

    name: str
    cached: bool
    stage: str = "main"


#: The setting with which a PROD image takes seconds instead of minutes, for tests that are about
#: something else than what it contains.
FEW_EXTRAS = {"AIRFLOW_IMAGES_AIRFLOW_EXTRAS": "celery,postgres"}


@dataclass(frozen=True)
class Suite:
    """A checkout of the project, and the environment in which it is used."""

    environment: Mapping[str, str]
    root: Path = ROOT
    docker: tuple[str, ...] = field(default=())
    #: The folder of docker's configuration that knows the engine's registry.
    config: str = ""

    @property
    def tools(self) -> Mapping[str, str]:
        """The environment of docker and buildx where they are called directly."""
        if not self.config:
            return self.environment
        return {**self.environment, "DOCKER_CONFIG": self.config}

    def at(self, root: Path) -> Suite:
        return replace(self, root=root)

    def having(self, **environment: str) -> Suite:
        return replace(self, environment={**self.environment, **environment})

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=self.root,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        with self.start(*command) as process:
            out, err = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def invoke(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("invoke", *arguments)

    def nox(self, session: str, *options: str) -> subprocess.CompletedProcess[str]:
        return self.run("nox", "-s", session, "--", *options)

    def good(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = self.invoke(*arguments)
        assert done.returncode == 0, done.stderr[-3000:]
        return done

    def ran(self) -> dict[str, list[str]]:
        """Return the builds of the last run in order, each with the steps that ran."""
        builds = json.loads(self.good("image.report", "--json").stdout)["builds"]
        return {
            build["identity"]: [
                step["name"]
                for step in build["steps"]
                if step["kind"] == "step" and step["started"] and not step["cached"]
            ]
            for build in builds
        }

    def engine(self, *arguments: str) -> str:
        """Ask the engine's own docker."""
        done = subprocess.run(
            [*self.docker, *arguments],
            env=dict(self.tools),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr[-2000:]}{done.stdout[-2000:]}"
        return done.stdout

    def copy(self, folder: Path) -> Suite:
        """Return the same suite at a copy of the checkout, to be changed."""
        ignored = shutil.ignore_patterns(*IGNORED)
        shutil.copytree(self.root, folder, ignore=ignored)
        return self.at(folder)


def last(text: str) -> str:
    return text.strip().splitlines()[-1]


def steps(events: str) -> list[Step]:
    """Return the steps that stand in BuildKit's events.

    A step that was cached stays so: a later event of it, without the word, is about its layers
    being fetched for an export.
    """
    seen: dict[str, Step] = {}
    for event in parsed(events):
        for vertex in event.get("vertexes", []):
            name = vertex.get("name", "")
            found = _STEP.match(name)
            if not found or " FROM " in name or not vertex.get("started"):
                continue
            before = seen.get(vertex["digest"])
            cached = bool(vertex.get("cached") or (before and before.cached))
            seen[vertex["digest"]] = Step(found["step"], cached, found["stage"])
    return list(seen.values())


def parsed(events: str) -> Iterator[dict[str, Any]]:
    """Yield the events; other lines share the stream with them.

    buildx writes an event in one line, buildx 0.13 in many.
    """
    decoder = json.JSONDecoder()
    at = events.find("{")
    while at >= 0:
        try:
            event, at = decoder.raw_decode(events, at)
        except ValueError:
            at += 1
        else:
            yield event
        at = events.find("{", at)


def clean(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return an environment without what would lead the suite elsewhere."""
    leading = (
        "AIRFLOW_IMAGES_",
        "DOCKER_",
        "BUILDX_",
        "GITHUB_",
        "GITLAB_",
        "CI_",
        "NOX",
        *UV_VARIABLES,
        "NETRC",
    )
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(leading) and name not in trust.OTHER_SYSTEMS
    }
