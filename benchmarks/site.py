"""The engine, the registry and the checkout that a run measures with: its own, emptied at will."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from registry_proxy import Proxy, proxied

from benchmarks import checkout, classic, peers
from benchmarks.peers import Job
from benchmarks.results import Sample
from benchmarks.scenarios import Peer, Scenario
from benchmarks.shelf import Shelf
from build_tasks import paths, process
from build_tasks.config import loading
from build_tasks.engine import apt, lifecycle, stand_ins, state
from build_tasks.engine.folders import engine_folders
from build_tasks.engine.state import EmbeddedEngine
from build_tasks.errors import CommandError, EngineError

#: Seconds after which a build is taken for hung.
PATIENCE = 3600.0
#: What would lead docker, buildx or the suite elsewhere, and what makes Python start slowly: a
#: Python that may not write bytecode compiles every module each time it starts.
_LEADING = ("AIRFLOW_IMAGES_", "DOCKER_", "BUILDX_", "BUILDKIT_", "GITHUB_", "GITLAB_", "CI", "NOX")


@dataclass(frozen=True)
class Site:
    """Where a run measures.

    Args:
        home: the run's own cache folder, with the engine and the registry in it.
        proxy: what everything passes on its way to the registry.
        checkout: a copy of the project, to be changed.
        python: the image's Python.
        arguments: the arguments that all Dockerfiles take.
        log: the file that gets what the measured programs write.
    """

    home: Path
    proxy: Proxy
    checkout: Path
    python: str
    arguments: tuple[tuple[str, str], ...]
    log: Path

    @property
    def shelf(self) -> Shelf:
        """What the peers pushed."""
        return Shelf(self.home)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of everything that is measured."""
        return {
            "AIRFLOW_IMAGES_BASE_IMAGE": dict(self.arguments)["BASE_IMAGE"],
            "AIRFLOW_IMAGES_CACHE": str(self.home),
            "AIRFLOW_IMAGES_ENGINE": "embedded",
            "AIRFLOW_IMAGES_REGISTRY": self.proxy.address,
            "AIRFLOW_IMAGES_REPOSITORY": peers.repository(Peer.INVOKE),
            "BUILDX_BAKE_ENTITLEMENTS_FS": "0",  # the context is not the working folder
            "DOCKER_CONFIG": str(self.home / "docker"),
            "DOCKER_HOST": _engine().host,
            "NOX_SCRIPT_MODE": "none",
        }

    def job(self, scenario: Scenario) -> Job:
        """Return what peers have to make in a scenario."""
        engine = _engine()
        job = Job(
            docker=str(engine.docker),
            registry=self.proxy.address,
            checkout=self.checkout,
            python=self.python,
            arguments=self.arguments,
            bundle=engine.ca_bundle,
            push=scenario.pushes,
            package=scenario.package,
        )
        if Peer.PLUGIN not in scenario.peers:
            return job
        (step,) = peers.steps(Peer.INVOKE, job)
        said = self.run((*step.command, "--dry-run")).stdout
        words = itertools.dropwhile(lambda word: "=" in word, shlex.split(said)[1:])
        return replace(job, plugin=tuple(words))

    def run(self, command: process.Command, *, check: bool = True) -> process.Completed:
        """Run one command in the checkout; what it wrote stays in the log."""
        here = ("env", f"--chdir={self.checkout}", *command)
        ended = process.run(here, environment=self.environment, timeout=PATIENCE, check=False)
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"+ {process.quote(command)}\n{ended.stdout}{ended.stderr}\n")
        if check and ended.returncode:
            raise CommandError(f"{process.quote(command)[:200]}: failed (see {self.log})")
        return ended

    def empty(self, *, old: bool = False) -> None:
        """Give the engine nothing: no image, no layer, no cache, and see that it is so.

        Args:
            old: with the classic image store.

        Raises:
            EngineError: something is left.
        """
        lifecycle.stop(announce=print)
        shutil.rmtree(self.home / "engine/data", ignore_errors=True)
        self.shelf.sweep()
        # Another program may have taken the registry's port meanwhile.
        self.proxy.upstream = lifecycle.start(announce=_quiet).registry
        if old:
            classic.restart()
        said = self.run((str(_engine().docker), "system", "df", "--format", "{{json .}}")).stdout
        for line in said.splitlines():
            kept = json.loads(line)
            if kept["TotalCount"] != "0":
                raise EngineError(f"the engine is not empty: {kept['TotalCount']} {kept['Type']}")

    def measure(self, peer: Peer, job: Job, scenario: Scenario, number: int) -> Sample:
        """Build once and return what it took.

        Args:
            peer: who builds.
            job: what.
            scenario: in which situation, which has been brought about.
            number: which time it is.
        """
        file = self.checkout / "docker-bake.json"
        file.write_text(json.dumps(peers.bake_file(job), indent=2), encoding="utf-8")
        todo = peers.steps(peer, job)
        os.sync()
        load = os.getloadavg()[0]
        self.proxy.reset()
        began = time.perf_counter()
        for step in todo:
            self.run(step.command, check=not step.may_fail)
        seconds = time.perf_counter() - began
        traffic = self.proxy.traffic()
        image = self._weigh(job.image(peer)) if job.push else 0
        return Sample(
            scenario.name, peer, number, seconds, traffic.pulled, traffic.pushed, image, load
        )

    def _weigh(self, reference: str) -> int:
        """Return the bytes of an image's layers as the registry keeps them."""
        manifest = self._manifest(reference)
        if "manifests" in manifest:
            digest = manifest["manifests"][0]["digest"]
            manifest = self._manifest(f"{reference.rpartition(':')[0]}@{digest}")
        return sum(layer["size"] for layer in manifest["layers"])

    def _manifest(self, reference: str) -> dict[str, Any]:
        command = (str(_engine().docker), "buildx", "imagetools", "inspect", "--raw", reference)
        manifest: dict[str, Any] = json.loads(self.run(command).stdout)
        return manifest


@contextlib.contextmanager
def open_site(python: str, folder: Path) -> Iterator[Site]:
    """Yield the site of a run, and stop its engine when the block ends.

    Args:
        python: the image's Python.
        folder: gets the log.

    Raises:
        ImagesError: the machine cannot have an engine of its own.
    """
    home = paths.cache_folder() / "bench"
    for name in list(os.environ):
        if name.startswith(_LEADING) or name == "PYTHONDONTWRITEBYTECODE":
            del os.environ[name]
    os.environ["AIRFLOW_IMAGES_CACHE"] = str(home)
    engine = lifecycle.start(announce=_say)
    try:
        base = stand_ins.ensure_python(engine, python, [apt.architecture()], _say)
        plugins = home / "docker/cli-plugins"
        plugins.mkdir(parents=True, exist_ok=True)
        (plugins / "docker-buildx").unlink(missing_ok=True)
        (plugins / "docker-buildx").symlink_to(engine.buildx)
        log = folder.absolute() / "bench.log"
        log.write_text("", encoding="utf-8")
        with proxied(engine.registry) as proxy:
            name = base.partition("/")[2]
            yield Site(
                home,
                proxy,
                checkout.make(home / "checkout", engine),
                python,
                _arguments(python, f"{proxy.address}/{name}"),
                log,
            )
    finally:
        lifecycle.stop(announce=print)
        Shelf(home).clear()


def _arguments(python: str, base: str) -> tuple[tuple[str, str], ...]:
    chosen = loading.load(environment={})
    return (
        ("BASE_IMAGE", base),
        ("AIRFLOW_PYTHON_VERSION", python),
        ("AIRFLOW_UV_VERSION", chosen.uv_version),
        ("AIRFLOW_VERSION", chosen.airflow_for(python)),
        ("AIRFLOW_EXTRAS", ",".join(chosen.ci_extras)),
        ("AIRFLOW_TEST_DEPS", " ".join(chosen.ci_test_packages)),
    )


def _engine() -> EmbeddedEngine:
    engine = state.running()
    if engine is None:
        raise EngineError(f"the run's engine ended: see {engine_folders().home}/dockerd.log")
    return engine


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _quiet(_line: str) -> None:
    """Say nothing: it is started again and again."""
