"""How each peer is asked for the same image: commands as pure tuples."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.scenarios import PUSHING, Peer
from build_tasks.process import Command

FOLDER = Path(__file__).parent
CA_BUNDLE = "ca-bundle"
_FRONT_ENDS = {
    Peer.START: ("invoke", "--version"),
    Peer.INVOKE: ("invoke", "image.build", "--python", "{python}"),
    Peer.NOX: ("nox", "-s", "build_ci-{python}", "--"),
}
_DOCKERFILES = {Peer.COPIED: "copied", Peer.CLASSIC: "classic"}


@dataclass(frozen=True)
class Step:
    """One command of a peer; one that may fail is a pull before there is anything to pull."""

    command: Command
    may_fail: bool = False


@dataclass(frozen=True)
class Job:
    """One image to be made.

    Args:
        docker: the docker CLI.
        registry: host and port of the registry, which is the counting proxy's.
        checkout: the folder that is built from.
        python: the image's Python.
        arguments: the arguments that all Dockerfiles take.
        bundle: the CA bundle, if the machine has one.
        push: push the image and export its cache; otherwise it stays on the engine.
        package: a Debian package to add.
        plugin: the command that the task itself runs, which calls the plugin.
    """

    docker: str
    registry: str
    checkout: Path
    python: str
    arguments: tuple[tuple[str, str], ...]
    bundle: Path | None
    push: bool
    package: str = ""
    plugin: Command = ()

    def image(self, peer: Peer) -> str:
        """Return the image's reference in the repository that is this peer's alone."""
        name = f"{self.registry}/{repository(peer)}"
        if repository(peer) == repository(Peer.INVOKE):
            return f"{name}/main/ci/python{self.python}:latest"
        return f"{name}:latest"

    def cache(self, peer: Peer) -> str:
        """Return the reference of this peer's cache."""
        return f"{self.registry}/{repository(peer)}:cache"


def repository(peer: Peer) -> str:
    """Return the place of a peer's images in the registry."""
    return f"bench/{peer if peer in {*PUSHING, Peer.COPIED} else Peer.INVOKE}"


def steps(peer: Peer, job: Job) -> tuple[Step, ...]:
    """Return what a peer runs for a job, in order."""
    if peer is Peer.BAKE:
        file = str(job.checkout / "docker-bake.json")
        command = (job.docker, "buildx", "bake", "--file", file, *(["--push"] if job.push else []))
        return (Step(command),)
    if peer is Peer.WHALES:
        return (Step((sys.executable, str(FOLDER / "whales.py"), json.dumps(_keywords(job)))),)
    if peer is Peer.CLASSIC:
        return _classic(job)
    if peer in _FRONT_ENDS:
        words = [word.format(python=job.python) for word in _FRONT_ENDS[peer]]
        options = () if peer is Peer.START else _own_options(job)
        return (Step((sys.executable, "-m", *words, *options)),)
    same = {Peer.SAME: (job.docker, "buildx", *job.plugin[1:]), Peer.PLUGIN: job.plugin}
    return (Step(same.get(peer) or _raw(peer, job)),)


def bake_file(job: Job) -> dict[str, Any]:
    """Return the bake file of a job."""
    target: dict[str, Any] = {
        "context": str(job.checkout),
        "dockerfile": str(_dockerfile(Peer.BAKE)),
        "args": dict(_arguments(job)),
        "tags": [job.image(Peer.BAKE)],
        "secret": [_secret(job.bundle)] if job.bundle else [],
    }
    if job.push:
        reference = job.cache(Peer.BAKE)
        target["cache-from"] = [f"type=registry,ref={reference}"]
        target["cache-to"] = [f"type=registry,ref={reference},mode=max"]
    return {"target": {"default": target}}


def _raw(peer: Peer, job: Job) -> Command:
    command = [job.docker, "buildx", "build", "--file", str(_dockerfile(peer))]
    for name, value in _arguments(job):
        command += ["--build-arg", f"{name}={value}"]
    command += ["--secret", _secret(job.bundle)] if job.bundle else []
    command += ["--tag", job.image(peer)]
    if job.push:
        reference = f"type=registry,ref={job.cache(peer)}"
        command += ["--push", "--cache-from", reference, "--cache-to", f"{reference},mode=max"]
    return (*command, str(job.checkout))


def _classic(job: Job) -> tuple[Step, ...]:
    image = job.image(Peer.CLASSIC)
    build = ["env", "DOCKER_BUILDKIT=0", job.docker, "build"]
    build += ["--file", str(_dockerfile(Peer.CLASSIC))]
    for name, value in _arguments(job):
        build += ["--build-arg", f"{name}={value}"]
    build += ["--cache-from", image] if job.push else []
    build += ["--tag", image, str(job.checkout)]
    if not job.push:
        return (Step(tuple(build)),)
    pull = Step((job.docker, "pull", image), may_fail=True)
    return (pull, Step(tuple(build)), Step((job.docker, "push", image)))


def _keywords(job: Job) -> dict[str, Any]:
    """Return what python-on-whales' build is called with."""
    keywords: dict[str, Any] = {
        "context_path": str(job.checkout),
        "file": str(_dockerfile(Peer.WHALES)),
        "build_args": dict(_arguments(job)),
        "tags": [job.image(Peer.WHALES)],
        "secrets": [_secret(job.bundle)] if job.bundle else [],
        "progress": "plain",
    }
    if job.push:
        reference = f"type=registry,ref={job.cache(Peer.WHALES)}"
        keywords |= {"push": True, "cache_from": reference, "cache_to": f"{reference},mode=max"}
    return {"docker": job.docker, "build": keywords}


def _own_options(job: Job) -> tuple[str, ...]:
    pushes = ("--push", "--push-cache") if job.push else ()
    return (*pushes, *(("--dependencies-apt-dev", job.package) if job.package else ()))


def _arguments(job: Job) -> tuple[tuple[str, str], ...]:
    return (*job.arguments, ("ADDITIONAL_DEV_APT_DEPS", job.package))


def _dockerfile(peer: Peer) -> Path:
    return FOLDER / _DOCKERFILES.get(peer, "plain") / "Dockerfile"


def _secret(bundle: Path) -> str:
    return f"id={CA_BUNDLE},src={bundle}"
